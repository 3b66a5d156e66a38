package quarantine_test

import (
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// A leap second is a time like any other; it stays in order with those around
// it, in every zone. A sixtieth second at any other time of day is none.
func TestLeapSecond(t *testing.T) {
	for _, s := range []string{"2016-12-31T23:59:60Z", "2016-12-31T23:59:60.5Z", "2017-01-01T00:59:60+01:00", "2016-12-31T18:29:60.999999-05:30"} {
		at, err := quarantine.ParseTime(time.RFC3339, s)
		if want := time.Date(2016, 12, 31, 23, 59, 59, 999_999_000, time.UTC); err != nil || !at.Equal(want) {
			t.Errorf("%s is %s, %v; want %s", s, at, err, want)
		}
	}
	if at, err := quarantine.ParseTime("2006-01-02 15:04:05", "2016-12-31 23:59:60"); err != nil || at.Year() != 2016 {
		t.Errorf("in OpenStack's form: %s, %v", at, err)
	}
	for _, s := range []string{"2016-12-31T22:59:60Z", "2016-12-31T23:59:61Z", "2016-12-31T23:59:60+01:00", "2016-12-31T23:60:00Z", ":60", ""} {
		if at, err := quarantine.ParseTime(time.RFC3339, s); err == nil {
			t.Errorf("%q passes as %s", s, at)
		}
	}
	if at, err := quarantine.ParseTime(time.RFC3339, "2026-03-02T10:11:12Z"); err != nil || at.Second() != 12 {
		t.Errorf("an ordinary time: %s, %v", at, err)
	}
}
