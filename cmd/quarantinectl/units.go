package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"quarantine/internal/quarantine"
)

// moment is a time in a table: UTC, to the minute.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// day is a date in a table, in UTC.
func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

// exact is a time to the second, in UTC.
func exact(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// size is a number of bytes in IEC units; "-" for one that is not known.
func size(n int64) string {
	if n < 0 {
		return "-"
	}
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), 0
	for v >= 1023.95 && unit < len(iecUnits)-1 {
		v /= 1 << 10
		unit++
	}
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0") + " " + iecUnits[unit]
}

var iecUnits = []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

// parseTime reads RFC 3339, or a date, which is the beginning of that day in
// UTC.
func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := quarantine.ParseTime(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: %q is no time: write it as 2026-11-17 or 2026-11-17T14:05:00Z", errUsage, s)
}

// parseDuration is quarantine.ParseDuration for a flag.
func parseDuration(s string) (time.Duration, error) {
	d, err := quarantine.ParseDuration(s)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%q is no time to add", s)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errUsage, err)
	}
	return d, nil
}

// printable shows what a terminal would obey instead of print: the names of
// VMs are their users' choice.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// either is the first that is not empty, "-" if none is.
func either(choices ...string) string {
	for _, s := range choices {
		if s != "" {
			return s
		}
	}
	return "-"
}
