package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

// The median is the middle, whatever the order, and between the two middles of
// an even number.
func TestMedian(t *testing.T) {
	t.Parallel()
	for want, of := range map[time.Duration]times{0: nil, 3: {9, 1, 3}, 4: {9, 1, 5, 3}} {
		if got := of.median(); got != want {
			t.Errorf("the median of %v is %d, want %d", of, got, want)
		}
	}
}

// A ratio of deletes is short above its bar, a coverage below it; of a race a
// rate is told whatever it is.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	res := results{
		with: side{servers: times{120}, volumes: times{105}}, without: side{servers: times{100}, volumes: times{100}},
		nova: race{won: 3, lost: 1}, cinder: race{lost: 4}, captured: 9, missing: 1,
	}
	var lines []string
	for _, v := range res.verdicts() {
		lines = append(lines, v.String())
	}
	want := `delete_with_vs_without 1.200 ratio-max bar 1.10 short
delete_volume_with_vs_without 1.050 ratio-max bar 1.10 ok
seize_nova_hit_rate 0.750 ratio bar 0.00 ok
seize_cinder_hit_rate 0.000 ratio bar 0.00 ok
coverage 90.000 percent bar 100.00 short`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("the lines are\n%s\nwant\n%s", got, want)
	}
}

// What cannot be measured is an error or a wrong use, never a result.
func TestStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		lab  string
		want int
	}{
		{nil, "", 2},
		{[]string{"-no-such-flag"}, "/", 2},
		{[]string{"extra"}, "/", 2},
		{nil, t.TempDir(), 1},
	} {
		if got := run(t.Context(), c.args, c.lab, time.Now, io.Discard, io.Discard); got != c.want {
			t.Errorf("bench %q with the lab %q ends with %d, want %d", c.args, c.lab, got, c.want)
		}
	}
}
