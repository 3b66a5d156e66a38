package quarantine

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads a duration as people write retentions: "90s", "36h",
// "14d", "2w", "5y" (of 365 days), or a sum of them such as "1d12h". Units
// below a day are those of time.ParseDuration. The error wraps ErrInvalid.
func ParseDuration(s string) (time.Duration, error) {
	bad := func(why string) (time.Duration, error) {
		return 0, invalidf("duration %q: %s; write it as 14d, 36h or 1d12h", s, why)
	}
	rest := strings.TrimSpace(s)
	if rest == "" {
		return bad("it is empty")
	}
	var total time.Duration
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits == 0 || digits == len(rest) {
			break
		}
		unit, ok := map[byte]time.Duration{'d': 24 * time.Hour, 'w': 7 * 24 * time.Hour, 'y': 365 * 24 * time.Hour}[rest[digits]]
		if !ok {
			break
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil || n > int64(maxDuration/unit) {
			return bad("it is too long")
		}
		total += time.Duration(n) * unit
		if total > maxDuration {
			return bad("it is too long")
		}
		rest = rest[digits+1:]
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return bad("it does not parse")
		}
		if d < 0 || total+d > maxDuration {
			return bad("it is out of range")
		}
		total += d
	}
	return total, nil
}

// maxDuration keeps dates within what the RBD trash can express (its seconds
// end in 2106).
const maxDuration = 60 * 365 * 24 * time.Hour

// FormatDuration writes a duration as ParseDuration reads it, in days where it
// is whole days.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d != 0 && d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d > day:
		return fmt.Sprintf("%dd%s", d/day, FormatDuration(d%day))
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
