package quarantine_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// A window reaches over midnight, and what is none is refused.
func TestWindows(t *testing.T) {
	at := func(hour, minute int) time.Time { return time.Date(2026, 3, 29, hour, minute, 0, 0, time.UTC) }
	for text, c := range map[string]struct{ in, out []time.Time }{
		"22:00-06:00": {[]time.Time{at(22, 0), at(0, 0), at(5, 59)}, []time.Time{at(21, 59), at(6, 0), at(12, 0)}},
		"01:30-02:30": {[]time.Time{at(1, 30), at(2, 29)}, []time.Time{at(1, 29), at(2, 30)}},
		"12:00-24:00": {[]time.Time{at(12, 0), at(23, 59)}, []time.Time{at(0, 0), at(11, 59)}},
	} {
		w, err := quarantine.ParseWindow(text)
		if err != nil || w.String() != text {
			t.Fatalf("%q is read as %q: %v", text, w, err)
		}
		for _, in := range c.in {
			if !w.Contains(in) || !w.Contains(in.In(time.FixedZone("", 5*3600))) {
				t.Errorf("%s is not in %s", in, text)
			}
		}
		for _, out := range c.out {
			if w.Contains(out) {
				t.Errorf("%s is in %s", out, text)
			}
		}
	}
	for _, text := range []string{"", "22:00", "22:00-22:00", "24:00-06:00", "25:00-06:00", "22-06", "22:00-06:00 "} {
		if w, err := quarantine.ParseWindow(text); !errors.Is(err, quarantine.ErrInvalid) {
			t.Errorf("%q is read as %q: %v", text, w, err)
		}
	}
}

// Outside the windows disks are marked and none is purged; a pass whose window
// ends begins with no more, and says so without having failed.
func TestCollectWindows(t *testing.T) {
	w := newWorld(t)
	w.safety.Workers = 1
	keys := w.due(3)
	expire := w.stray("vol-to-expire")
	w.pass(unexplainedRetain)
	now := w.now().Truncate(24 * time.Hour)
	set := func(from, to time.Duration) {
		w.safety.Windows = []quarantine.Window{{From: from, To: to}}
		w.restart()
	}
	since := w.now().Sub(now)
	set((since+time.Hour)%day, (since+2*time.Hour)%day)
	rep := w.collect()
	w.nothingRemoved()
	w.is(expire, quarantine.Expiring)
	if len(rep.Items) != 1 || len(rep.Notes) != 1 || !strings.Contains(rep.Notes[0], "next window") {
		t.Errorf("%+v", rep)
	}
	set(since-since%time.Minute, (since+time.Hour)%day)
	w.ceph.After(func(k fakeceph.Call) error {
		if k.Verb == "Remove" {
			w.jump(time.Hour) // the window is over
		}
		return nil
	})
	rep = w.collect()
	if got := len(w.ceph.Removals()); got != 1 || len(rep.Notes) != 1 || rep.Failed() > 0 {
		t.Errorf("%d of %d disks were removed, %+v", got, len(keys), rep)
	}
}

// While Ceph is busy a pass works on fewer disks at once, down to one, says why,
// and comes back to its speed slowly.
func TestCollectSlowsDown(t *testing.T) {
	w := newWorld(t)
	w.safety.Workers, w.safety.MaxLatency = 8, 50*time.Millisecond
	w.restart()
	for _, c := range []struct {
		load   quarantine.Load
		part   float64
		reason string
	}{
		{quarantine.Load{Latency: 50 * time.Millisecond}, 1, ""},
		{quarantine.Load{Latency: 51 * time.Millisecond}, 0.5, "writes of the OSDs take 51ms, more than 50ms"},
		{quarantine.Load{Latency: time.Second}, 0.25, "take 1s"},
		{quarantine.Load{Latency: time.Second}, 0.125, "take 1s"},
		{quarantine.Load{Latency: time.Second}, 0.125, "take 1s"},
		{quarantine.Load{}, 0.15625, "take 1s"},
		{quarantine.Load{Recovering: "3 placement groups are active+remapped+backfilling"}, 0.15625, "Ceph moves data: 3 placement"},
	} {
		w.ceph.SetLoad(vms.FSID, c.load)
		rep := w.collect()
		part, reason := 1.0, ""
		if s := w.collector.Slowed(); s != nil {
			part, reason = s.Part, s.Reason
		}
		if part != c.part || !strings.Contains(reason, c.reason) {
			t.Errorf("with %+v: part %v because %q, want %v because %q", c.load, part, reason, c.part, c.reason)
		}
		if slow := len(rep.Notes) > 0; slow != (c.part < 1) {
			t.Errorf("with %+v: the report says %q", c.load, rep.Notes)
		}
	}
	if n := strings.Count(w.log.b.String(), "removals slow down"); n != 1 {
		t.Errorf("the log says %d times that removals slow down", n)
	}
	w.ceph.FailNext("Load", 1, quarantine.ErrUnavailable)
	w.collect()
	if s := w.collector.Slowed(); s == nil || !strings.Contains(s.Reason, "not known") {
		t.Errorf("%+v", s)
	}
}

// The speed recovers while a pass goes on, without a new one.
func TestCollectSpeedsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.safety.DisksPerSecond, w.safety.MaxLatency = 0.1, 50*time.Millisecond
		w.restart()
		w.due(8)
		w.ceph.SetLoad(vms.FSID, quarantine.Load{Latency: time.Second})
		began := time.Now()
		var at []float64
		w.ceph.After(func(k fakeceph.Call) error {
			if k.Verb == "Remove" {
				at = append(at, time.Since(began).Seconds())
				w.ceph.SetLoad(vms.FSID, quarantine.Load{})
			}
			return nil
		})
		w.collect()
		if w.collector.Slowed() != nil || len(at) != 8 {
			t.Fatalf("%v, removals after %v seconds", w.collector.Slowed(), at)
		}
		if first, last := at[1]-at[0], at[7]-at[6]; first < 1.3*last || last < 9.9 || last > 10.1 {
			t.Errorf("the gaps were %.1f seconds first, %.1f last, of 10 at full speed", first, last)
		}
	})
}

// Each budget is kept within a hundredth, in objects and in bytes as well, and
// pools have one each.
func TestBudgets(t *testing.T) {
	for name, set := range map[string]func(s *quarantine.Safety){
		"disks":   func(s *quarantine.Safety) { s.DisksPerSecond = 8 },
		"objects": func(s *quarantine.Safety) { s.ObjectsPerSecond = 8 }, // a small disk counts as one
		"bytes":   func(s *quarantine.Safety) { s.BytesPerSecond = 8 * diskSize },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				set(&w.safety)
				w.restart()
				const n = 41
				w.due(n)
				began := time.Now()
				if rep := w.collect(); len(rep.Items) != n || rep.Failed() > 0 {
					t.Fatalf("%+v", rep)
				}
				if took := time.Since(began).Seconds(); took < 4.95 || took > 5.05 {
					t.Errorf("%d disks in %.2f seconds, want 5", n, took)
				}
			})
		})
	}
}
