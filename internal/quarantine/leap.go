package quarantine

import (
	"strings"
	"time"
)

// ParseTime is time.Parse that also knows the leap second: RFC 3339 allows
// 23:59:60 (UTC), and a report that has it is as good as any other. Go's times
// have no such moment, as most machines' clocks have none; it becomes the last
// microsecond before midnight, so that what was in order stays in order.
func ParseTime(layout, s string) (time.Time, error) {
	t, err := time.Parse(layout, s)
	if err == nil {
		return t, nil
	}
	before, after, ok := strings.Cut(s, ":60")
	if n := len(before); !ok || n < 3 || before[n-3] != ':' || strings.HasPrefix(after, ":") {
		return t, err // it is not the seconds
	}
	if digits := strings.TrimLeft(after, ".0123456789"); strings.HasPrefix(after, ".") {
		after = digits
	}
	last, lerr := time.Parse(layout, before+":59"+after)
	if lerr != nil {
		return t, err
	}
	if u := last.UTC(); u.Hour() != 23 || u.Minute() != 59 {
		return t, err // no leap second comes at another time of day
	}
	return last.Add(time.Second - time.Microsecond), nil
}
