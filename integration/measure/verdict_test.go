package measure_test

import (
	"strconv"
	"strings"
	"testing"

	"quarantine/integration/measure"
)

// A value is ok at its bar and beyond it, on the side that is good.
func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v    measure.Verdict
		want string
	}{
		{measure.Verdict{Name: "fast", Value: 0.7, Unit: "ratio", Bar: 0.7}, "fast 0.700 ratio bar 0.70 ok"},
		{measure.Verdict{Name: "slow", Value: 0.65, Unit: "ratio", Bar: 0.7}, "slow 0.650 ratio bar 0.70 short"},
		{measure.Verdict{Name: "cheap", Value: 1.5, Unit: "ratio-max", Bar: 1.5, AtMost: true}, "cheap 1.500 ratio-max bar 1.50 ok"},
		{measure.Verdict{Name: "dear", Value: 1.55, Unit: "ratio-max", Bar: 1.5, AtMost: true}, "dear 1.550 ratio-max bar 1.50 short"},
	} {
		if got := c.v.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		if f := strings.Fields(c.v.String()); len(f) != 6 || !isNumber(f[1]) || !isNumber(f[4]) {
			t.Errorf("%q does not have six fields with two numbers", c.v)
		}
		var b strings.Builder
		if ok := measure.Print(&b, []measure.Verdict{{Name: "good"}, c.v, {Name: "good"}}); ok != strings.HasSuffix(c.want, "ok") || strings.Count(b.String(), "\n") != 3 {
			t.Errorf("all hold their bars: %v\n%s", ok, &b)
		}
	}
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}
