package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"quarantine/internal/quarantine"
)

// runsOf follows a cron line for a time, by a clock that at() sets, looking as
// often as the schedule's loop does, and returns the hours by the true clock at
// which the job ran.
func runsOf(t *testing.T, line string, start time.Time, hours int, at func(trueTime time.Time) time.Time) []time.Time {
	t.Helper()
	table, err := newTimetable(map[string]string{"job": line}, at(start))
	if err != nil {
		t.Fatal(err)
	}
	var runs []time.Time
	end := start.Add(time.Duration(hours) * time.Hour)
	for now := start; now.Before(end); {
		for range table.due(at(now)) {
			runs = append(runs, now)
		}
		now = now.Add(max(table.wait(at(now)), time.Millisecond))
	}
	return runs
}

// A clock that is set at one moment by that much.
func setAt(when time.Time, by time.Duration) func(time.Time) time.Time {
	return func(now time.Time) time.Time {
		if now.Before(when) {
			return now
		}
		return now.Add(by)
	}
}

// A job runs once a slot in UTC: daylight saving in the machine's zone, a
// smeared leap second and a clock that is corrected by seconds make no run
// twice, and miss none.
func TestTimetableIsInUTC(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		start time.Time
		at    func(time.Time) time.Time
	}{
		"spring":                  {time.Date(2027, 3, 28, 0, 0, 30, 0, time.UTC), func(t time.Time) time.Time { return t.In(berlin) }},
		"autumn":                  {time.Date(2027, 10, 31, 0, 0, 30, 0, time.UTC), func(t time.Time) time.Time { return t.In(berlin) }},
		"a leap second, repeated": {time.Date(2016, 12, 31, 12, 0, 30, 0, time.UTC), setAt(time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Millisecond), -time.Second)},
		"a leap second, smeared": {time.Date(2016, 12, 31, 12, 0, 30, 0, time.UTC), func(t time.Time) time.Time {
			return t.Add(-time.Duration(float64(t.Sub(time.Date(2016, 12, 31, 12, 0, 0, 0, time.UTC))) / 86401))
		}},
		"corrected by seconds": {time.Date(2027, 5, 1, 0, 0, 30, 0, time.UTC), setAt(time.Date(2027, 5, 1, 6, 0, 0, 1, time.UTC), -3*time.Second)},
	} {
		for line, want := range map[string]int{"0 * * * *": 24, "*/15 * * * *": 96, "30 2 * * *": 1} {
			runs := runsOf(t, line, c.start, 24, c.at)
			if len(runs) != want {
				t.Errorf("%s: %q ran %d times in a day, want %d: %v", name, line, len(runs), want, runs)
			}
		}
	}
}

// What a jump forward, or a suspended machine, has passed over runs once. After
// a jump back the job does not wait until the old time comes again, nor does it
// run again in a storm: never more often than its slots are apart.
func TestTimetableUnderAClockThatJumps(t *testing.T) {
	start := time.Date(2027, 6, 1, 0, 0, 1, 0, time.UTC)
	const hours = 24 * 10
	for line, period := range map[string]time.Duration{"*/10 * * * *": 10 * time.Minute, "17 * * * *": time.Hour, "30 2 * * *": day} {
		for _, by := range []time.Duration{time.Minute, time.Hour, day, 3653 * day, -time.Minute, -time.Hour, -day, -3653 * day} {
			for _, when := range []time.Duration{2*day + 2*time.Hour + 30*time.Minute + time.Second, 2*day + 5*time.Hour} {
				name := fmt.Sprintf("%q %+.2fh at %s", line, by.Hours(), when)
				runs := runsOf(t, line, start, hours, setAt(start.Add(when), by))
				// Two periods without a run are possible where one slot has run before
				// the jump back and is not run again.
				most := 2*period + lookEvery
				last := start
				for i, at := range append(runs, start.Add(hours*time.Hour)) {
					if gap := at.Sub(last); gap > most {
						t.Errorf("%s: nothing ran for %s before %s", name, gap, at)
					}
					// The slot after a jump forward may come soon; but one run only.
					if i >= 2 && at.Sub(runs[i-2]) < period/2 && i < len(runs) {
						t.Errorf("%s: ran three times from %s to %s", name, runs[i-2], at)
					}
					last = at
				}
				if want := int(hours * time.Hour / period); len(runs) < want-2 || len(runs) > want+2 {
					t.Errorf("%s: ran %d times in %d h, want about %d", name, len(runs), hours, want)
				}
			}
		}
	}
}

// The schedule itself goes by the daemon's clock: a machine that sleeps for
// hours, in which its timers stand still, runs the job once when it wakes; a
// clock that is set back ten years does not end the schedule.
func TestScheduleGoesByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var offset time.Duration
		runs := 0
		j := newJobs(func(context.Context) quarantine.Report {
			mu.Lock()
			defer mu.Unlock()
			runs++
			return quarantine.Report{EndedAt: time.Now()}
		})
		j.clock = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(offset)
		}
		after := func(d, jump time.Duration) int {
			mu.Lock()
			offset += jump
			runs = 0
			mu.Unlock()
			time.Sleep(d)
			mu.Lock()
			defer mu.Unlock()
			return runs
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := j.schedule(ctx, map[string]string{quarantine.JobCollect: "0 * * * *"}, 0); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Minute) // the bubble begins at midnight
		for _, c := range []struct {
			jump time.Duration
			for_ time.Duration
			want int
		}{
			{0, 2 * time.Hour, 2},
			{9 * time.Hour, time.Minute, 1}, // it slept
			{0, time.Hour, 1},
			{-time.Hour, 90 * time.Minute, 0}, // its slots have run
			{0, time.Hour, 1},
			{-3653 * day, 61 * time.Minute, 1},
			{0, 3 * time.Hour, 3},
			{3653 * day, time.Minute, 1},
			{0, 3 * time.Hour, 3},
		} {
			if got := after(c.for_, c.jump); got != c.want {
				t.Errorf("after a jump of %s: %d runs in %s, want %d", c.jump, got, c.for_, c.want)
			}
		}
		cancel()
		wg.Wait()
	})
}
