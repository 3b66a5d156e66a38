package quarantine_test

import (
	"fmt"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// However the clock jumps (an hour, a day, ten years, to and fro), before a pass,
// in the middle of one or while the service is down: no disk is purged before
// the time that it was promised is over by the true clock, and none twice; and
// when the clock is right again, everything goes on, at a person's word at most.
func TestCollectUnderAClockThatJumps(t *testing.T) {
	for _, size := range []time.Duration{time.Hour, day, 3653 * day} {
		for _, dir := range []time.Duration{1, -1} {
			for _, when := range []string{"before", "during", "down"} {
				t.Run(fmt.Sprintf("%s %+.0fh", when, (dir*size).Hours()), func(t *testing.T) {
					t.Parallel()
					jumps(t, dir*size, when)
				})
			}
		}
	}
}

func jumps(t *testing.T, by time.Duration, when string) {
	w := newWorld(t)
	var offset time.Duration // how far the clock is from the true one
	promised := map[quarantine.Key]time.Time{}
	born := func(name string) quarantine.Key {
		key := w.stray(name)
		promised[key] = w.disk(key).RetainUntil
		return key
	}
	seen := 0
	check := func() {
		t.Helper()
		twice := map[quarantine.Key]bool{}
		for i, r := range w.ceph.Removals() {
			if at := w.now().Add(-offset); i >= seen && at.Before(promised[r.Key]) {
				t.Fatalf("%s was purged at %s by the true clock, and was promised until %s", r.Key, at, promised[r.Key])
			}
			if twice[r.Key] {
				t.Fatalf("%s was purged twice", r.Key)
			}
			twice[r.Key] = true
		}
		seen = len(w.ceph.Removals())
	}
	pass := func() {
		t.Helper()
		w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
		check()
	}
	over := born("over") // marked, and half of its grace is over
	w.pass(unexplainedRetain/2 + day/2)
	soon := born("soon")
	w.pass(unexplainedRetain/2 - day/2)
	w.collect()
	w.pass(grace / 2)
	fresh := born("fresh")
	w.is(over, quarantine.Expiring)

	jump := func(d time.Duration) {
		switch when {
		case "during":
			done := false
			w.proc.onPoint = func(name string) {
				if name == "ceph.ListTrash.before" && !done {
					done = true
					offset += d
					w.jump(d)
				}
			}
			pass()
			w.proc.onPoint = nil
			if !done { // the pass was stopped before, by the clock
				offset += d
				w.jump(d)
			}
		case "down":
			w.proc.exit()
			offset += d
			w.jump(d)
			w.restart()
			pass()
		default:
			offset += d
			w.jump(d)
			pass()
		}
	}
	jump(by)
	for range 16 {
		w.jump(3 * time.Hour)
		pass()
	}
	if by.Abs() > w.safety.MaxClockJump && len(w.ceph.Removals()) > 0 {
		t.Errorf("purged under a clock that nobody vouched for: %v", w.ceph.Removals())
	}
	jump(-by)
	if offset != 0 {
		t.Fatalf("the clock is %s off", offset)
	}
	if err := w.collector.ConfirmClock(w.ctx, "carol"); err != nil {
		t.Fatal(err)
	}
	for range 20 * 4 {
		w.jump(6 * time.Hour)
		pass()
	}
	for _, key := range []quarantine.Key{over, soon, fresh} {
		w.is(key, quarantine.Purged)
	}
}

// A retention is a number of hours and not of days in a calendar: it is the same
// across the change to and from daylight saving in the zone of whoever reported
// the death, across a leap day, a leap second and the end of a year.
func TestRetentionAcrossTheCalendar(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]time.Time{
		"spring":      time.Date(2027, 3, 27, 12, 0, 0, 0, berlin),
		"autumn":      time.Date(2027, 10, 30, 12, 0, 0, 0, berlin),
		"the hour 2b": time.Date(2027, 10, 31, 1, 30, 0, 0, time.UTC).In(berlin),
		"leap day":    time.Date(2028, 2, 28, 23, 59, 59, 0, time.UTC),
		"leap second": time.Date(2016, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
		"end of year": time.Date(2026, 12, 31, 23, 59, 59, 0, berlin),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.clockMu.Lock()
			w.time = at
			w.clockMu.Unlock()
			key := w.stray("disk")
			w.keptUntil(key, at.UTC().Add(unexplainedRetain).Truncate(time.Second))
			w.pass(unexplainedRetain - 2*time.Second)
			w.collect()
			w.is(key, quarantine.Quarantined)
			w.pass(2 * time.Second)
			w.collect()
			w.is(key, quarantine.Expiring)
			w.pass(grace - 2*time.Second)
			w.collect()
			w.is(key, quarantine.Expiring)
			w.pass(2 * time.Second)
			w.collect()
			w.removedOnce(key)
		})
	}
}
