package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// timetable says which jobs are due. It goes by the clock as it is at each look,
// and not by a timer that was set long ago: a timer knows nothing of a clock that
// was set, and stands still while the machine is suspended.
//
// Each line of a schedule gives slots, in UTC, which knows no daylight saving. A
// slot runs once. What a jump forward, a suspended machine or a long run has
// passed over runs once, and not once for each slot. After a jump back, by less
// than the time between two slots, the slots that have run do not run again; a
// larger one begins the schedule anew, so that no job waits for a time that the
// wrong clock has shown.
type timetable struct {
	lines []*timetableLine // by name
}

type timetableLine struct {
	name     string
	schedule cron.Schedule
	next     time.Time // the slot that runs next; zero: none comes
}

// newTimetable reads the cron lines, by job. The first slots come after now.
func newTimetable(lines map[string]string, now time.Time) (*timetable, error) {
	t := &timetable{}
	for name, line := range lines {
		s, err := cron.ParseStandard(line)
		if err != nil {
			return nil, fmt.Errorf("schedule %s at %q: %w", name, line, err)
		}
		t.lines = append(t.lines, &timetableLine{name: name, schedule: s, next: s.Next(now.UTC())})
	}
	slices.SortFunc(t.lines, func(a, b *timetableLine) int { return strings.Compare(a.name, b.name) })
	return t, nil
}

// due returns the jobs whose slot has come, and moves each on to a slot after
// now.
func (t *timetable) due(now time.Time) []string {
	now = now.UTC().Round(0) // what it shows, whatever has gone by
	var names []string
	for _, l := range t.lines {
		if l.next.IsZero() {
			continue
		}
		after := l.schedule.Next(now)
		switch {
		case !l.next.After(now):
			names = append(names, l.name)
			l.next = after
		case l.next.After(after) && l.next.After(l.schedule.Next(after)):
			// The clock was set back by more than the time between two slots.
			l.next = after
		}
	}
	return names
}

// wait is how long it is to the next slot, by this clock.
func (t *timetable) wait(now time.Time) time.Duration {
	least := lookEvery
	for _, l := range t.lines {
		if !l.next.IsZero() {
			least = min(least, l.next.Sub(now.Round(0)))
		}
	}
	return max(least, 0)
}

// lookEvery is how long a set clock can go unnoticed.
const lookEvery = 30 * time.Second
