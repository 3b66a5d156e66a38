package quarantine_test

import (
	"fmt"
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// What comes into a pool at a steady rate fills it when the rate says so; what the
// dates promise to free comes off, a grace later; a hold takes that back.
func TestForecast(t *testing.T) {
	w := newWorld(t)
	w.ceph.SetCapacity(vms, 40*diskUsed)
	look := func() quarantine.Forecast {
		t.Helper()
		all, err := w.capacity.Forecasts(w.ctx, w.now())
		if err != nil || all[0].Pool != vms.Pool || all[0].Forecast == nil {
			t.Fatalf("%+v, %v", all, err)
		}
		return *all[0].Forecast
	}
	write := func(i int) {
		t.Helper()
		key := w.create(vms, fmt.Sprint("live-", i)) // diskUsed
		if _, ok := w.ceph.Look(key); !ok {
			t.Fatal("not there")
		}
	}
	if f := look(); f.DayRate != nil || f.WeekRate != nil || len(f.Points) != 0 || !f.FullAt.IsZero() {
		t.Errorf("without samples: %+v", f)
	}
	for i := range 5 * 24 {
		if _, err := w.capacity.Sample(w.ctx, w.now()); err != nil {
			t.Fatal(err)
		}
		if i%12 == 11 {
			write(i) // two a day
		}
		w.pass(time.Hour)
	}
	f := look()
	if f.DayRate == nil || f.WeekRate == nil {
		t.Fatalf("%+v", f)
	}
	for _, rate := range []int64{*f.DayRate, *f.WeekRate} {
		if rate < diskUsed*3/2 || rate > diskUsed*5/2 {
			t.Errorf("rates %d and %d, want about %d", *f.DayRate, *f.WeekRate, 2*diskUsed)
		}
	}
	// 10 of 40 are used: 30 more in 15 days.
	if days := f.FullAt.Sub(w.now()) / day; days < 14 || days > 16 {
		t.Errorf("full in %d days", days)
	}
	// Eight disks die now and are due in a fortnight.
	keys := w.of("a", 8)
	first := look()
	for _, k := range keys {
		w.hold(k, "case-1")
	}
	held := look()
	last := len(held.Points) - 1
	if more := held.Points[last].UsedBytes - first.Points[last].UsedBytes; more != 8*diskUsed {
		t.Errorf("held, and %d more are used at the end", more)
	}
	if held.Points[13].UsedBytes != first.Points[13].UsedBytes {
		t.Error("the holds make a difference before the disks are due")
	}
}

// What is purged meanwhile is not taken for less coming in; samples are bounded, and
// ones that cannot be read are begun anew.
func TestForecastSamples(t *testing.T) {
	w := newWorld(t)
	w.ceph.SetCapacity(vms, 1000*fakeceph.BlockSize)
	if err := w.store.SetMark(w.ctx, "capacity/samples", []byte("{")); err != nil {
		t.Fatal(err)
	}
	keys := w.of("a", 4)
	for range 24 * 12 {
		if _, err := w.capacity.Sample(w.ctx, w.now()); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Hour)
	}
	b, err := w.store.Mark(w.ctx, "capacity/samples")
	if err != nil || len(b) > 4*300*100 {
		t.Errorf("%d bytes of samples, %v", len(b), err)
	}
	w.pass(retain)
	w.collect()
	for range 24 {
		if _, err := w.capacity.Sample(w.ctx, w.now()); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Hour)
	}
	w.collect()
	w.is(keys[0], quarantine.Purged)
	all, err := w.capacity.Forecasts(w.ctx, w.now())
	if err != nil || all[0].Forecast.DayRate == nil || *all[0].Forecast.DayRate != 0 {
		t.Errorf("%+v, %v", all[0].Forecast, err)
	}
}
