package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// whenSpec says when a disk must have been deleted for a rule to apply; all that is
// given must be so. All times are UTC.
type whenSpec struct {
	// From is the first day, or time, and Until the first one behind.
	From  string `yaml:"from"`
	Until string `yaml:"until"`
	// Days are days of the week, Hours a part of the day, as 20-06 or
	// 19:30-06:00. One that goes over midnight belongs to the day it begins on.
	Days  []string `yaml:"days"`
	Hours string   `yaml:"hours"`
}

// window is a whenSpec that loaded.
type window struct {
	from, until time.Time      // zero: open
	days        []time.Weekday // none: every day
	// start and end are minutes of the day; equal: all of it.
	start, end int
}

// contains reports whether the time is in the window.
func (w *window) contains(t time.Time) bool {
	t = t.UTC()
	if t.Before(w.from) || !w.until.IsZero() && !t.Before(w.until) {
		return false
	}
	minute, day := t.Hour()*60+t.Minute(), t.Weekday()
	switch {
	case w.start < w.end:
		if minute < w.start || minute >= w.end {
			return false
		}
	case w.start > w.end && minute < w.end:
		day = (day + 6) % 7 // it began yesterday
	case w.start > w.end && minute < w.start:
		return false
	}
	return len(w.days) == 0 || slices.Contains(w.days, day)
}

func (s *whenSpec) window() (*window, error) {
	w := &window{}
	var err error
	if s.From == "" && s.Until == "" && len(s.Days) == 0 && s.Hours == "" {
		return nil, errors.New("it needs from, until, days or hours")
	}
	for _, t := range []struct {
		key, text string
		to        *time.Time
	}{{"from", s.From, &w.from}, {"until", s.Until, &w.until}} {
		if t.text == "" {
			continue
		}
		if *t.to, err = parseMoment(t.text); err != nil {
			return nil, fmt.Errorf("%s: %w", t.key, err)
		}
	}
	if s.From != "" && s.Until != "" && !w.from.Before(w.until) {
		return nil, fmt.Errorf("until: %s is not after %s", s.Until, s.From)
	}
	for _, name := range s.Days {
		i := slices.Index([]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}, name)
		if i < 0 {
			return nil, fmt.Errorf("days: %q is none of mon, tue, wed, thu, fri, sat, sun", name)
		}
		w.days = append(w.days, time.Weekday(i))
	}
	if s.Hours == "" {
		return w, nil
	}
	from, to, ok := strings.Cut(s.Hours, "-")
	if w.start, err = parseClock(from); err == nil {
		w.end, err = parseClock(to)
	}
	if err != nil || !ok || w.start == w.end {
		return nil, fmt.Errorf("hours: %q is no part of a day, as 20-06 or 19:30-06:00", s.Hours)
	}
	return w, nil
}

// parseMoment reads a date, which is its midnight, or a time.
func parseMoment(text string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%q is no date, as 2026-12-20, and no time, as 2026-12-20T18:00:00Z", text)
	}
	return t.UTC(), nil
}

// parseClock reads HH or HH:MM, up to 24, as minutes.
func parseClock(text string) (int, error) {
	hours, minutes, _ := strings.Cut(strings.TrimSpace(text), ":")
	h, err := strconv.Atoi(hours)
	m := 0
	if err == nil && minutes != "" {
		m, err = strconv.Atoi(minutes)
	}
	if err != nil || h < 0 || m < 0 || m > 59 || h*60+m > 24*60 {
		return 0, fmt.Errorf("%q is no time of day", text)
	}
	return h*60 + m, nil
}
