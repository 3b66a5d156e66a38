package quarantine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Promises is the part of the catalog by which the forecast knows what will be
// free.
type Promises interface {
	// DueBytes sums up, by steps from q.Now on, what those disks in quarantine take
	// that are due in each step, as measured, of the pool with all its namespaces.
	// Disks on hold are never due.
	DueBytes(ctx context.Context, q ShareQuery, step time.Duration, steps int) ([]int64, error)
	// Totals counts the disks and their bytes by pool and state, tombstones too.
	Totals(ctx context.Context) ([]Total, error)
}

// Forecast is how a pool will fill at the present rate. What comes into the pool is
// taken from the samples, and what will be freed from the dates that the disks in
// quarantine have now; disks that are yet to die are counted as if they stayed.
type Forecast struct {
	// DayRate and WeekRate are what came into the pool, in bytes a day, over the
	// last day and week; nil where there are no samples over half of that.
	DayRate  *int64 `json:"day_rate_bytes,omitempty"`
	WeekRate *int64 `json:"week_rate_bytes,omitempty"`
	// Points are a day apart, from now on; none without a rate.
	Points []ForecastPoint `json:"points,omitempty"`
	// HighAt is when the fill reaches the high watermark, FullAt when the pool is
	// full, to the day; the zero time if it does not within the points, or no rate
	// is known.
	HighAt time.Time `json:"high_at,omitzero"`
	FullAt time.Time `json:"full_at,omitzero"`
}

// ForecastPoint is what will be used.
type ForecastPoint struct {
	At        time.Time `json:"at"`
	UsedBytes int64     `json:"used_bytes"`
}

const (
	// forecastDays is how far a forecast reaches.
	forecastDays = 30
	// sampleEvery is how often the pools are sampled, sampleKeep how long that is
	// kept: some two hundred samples a pool.
	sampleEvery = time.Hour
	sampleKeep  = 8 * 24 * time.Hour
	// sampleMark is the name of the mark with the samples.
	sampleMark = "capacity/samples"
)

// poolSample is how full a pool was. Purged is all that was ever purged there, as
// measured: what came into the pool is what is there more and what went.
type poolSample struct {
	At     time.Time `json:"at"`
	Used   int64     `json:"used"`
	Purged int64     `json:"purged"`
}

// samples are those of each pool ("fsid/pool"), in order.
type samples map[string][]poolSample

func sampleKey(p PoolRef) string { return p.FSID + "/" + p.Pool }

func (c *Capacity) loadSamples(ctx context.Context) (samples, error) {
	b, err := c.marks.Mark(ctx, sampleMark)
	if errors.Is(err, ErrNotFound) {
		return samples{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read how full the pools were: %w", err)
	}
	s := samples{}
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("read how full the pools were: %w: %w", ErrInvalid, err)
	}
	return s, nil
}

// Sample notes how full the pools are now, for forecasts, and returns their states.
// A pool whose figures cannot be read has no sample of this time.
func (c *Capacity) Sample(ctx context.Context, now time.Time) ([]PoolState, error) {
	states, err := c.States(ctx, now)
	if err != nil {
		return nil, err
	}
	all, err := c.loadSamples(ctx)
	if errors.Is(err, ErrInvalid) {
		all, err = samples{}, nil // nothing else mends it
	}
	if err != nil {
		return nil, err
	}
	gone, err := c.purgedBytes(ctx)
	if err != nil {
		return nil, err
	}
	kept := samples{}
	for _, st := range states {
		key := sampleKey(st.Ref())
		list := slices.DeleteFunc(all[key], func(s poolSample) bool { return now.Sub(s.At) > sampleKeep || s.At.After(now) })
		if n := len(list); st.Usage != nil && (n == 0 || now.Sub(list[n-1].At) >= sampleEvery/2) {
			list = append(list, poolSample{At: now.UTC(), Used: st.Usage.UsedBytes, Purged: gone[st.Ref()]})
		}
		kept[key] = list
	}
	b, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("encode how full the pools are: %w", err)
	}
	if err := c.marks.SetMark(ctx, sampleMark, b); err != nil {
		return nil, fmt.Errorf("keep how full the pools are: %w", err)
	}
	return states, nil
}

func (c *Capacity) purgedBytes(ctx context.Context) (map[PoolRef]int64, error) {
	totals, err := c.promises.Totals(ctx)
	if err != nil {
		return nil, fmt.Errorf("sum up what was purged: %w", err)
	}
	gone := map[PoolRef]int64{}
	for _, t := range totals {
		if t.State == Purged {
			gone[PoolRef{FSID: t.FSID, Pool: t.Pool}] += t.Used
		}
	}
	return gone, nil
}

// Watch samples the pools every hour until ctx ends, and tells of their states.
func (c *Capacity) Watch(ctx context.Context, clock Clock, log *slog.Logger, told func([]PoolState)) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		states, err := c.Sample(ctx, clock().UTC())
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			log.Warn("how full the pools are was not noted; the forecast goes by what was", "error", err)
		default:
			told(states)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Forecasts looks at all pools, and ahead.
func (c *Capacity) Forecasts(ctx context.Context, now time.Time) ([]PoolState, error) {
	states, err := c.States(ctx, now)
	if err != nil {
		return nil, err
	}
	all, err := c.loadSamples(ctx)
	if err != nil {
		return nil, err
	}
	gone, err := c.purgedBytes(ctx)
	if err != nil {
		return nil, err
	}
	for i := range states {
		st := &states[i]
		if st.Usage == nil {
			continue
		}
		due, err := c.promises.DueBytes(ctx, st.query, 24*time.Hour, forecastDays)
		if err != nil {
			return nil, fmt.Errorf("sum up what will be due in %s: %w", st.Pool, err)
		}
		f := forecast(all[sampleKey(st.Ref())], poolSample{At: now, Used: st.Usage.UsedBytes, Purged: gone[st.Ref()]}, st, due, c.cfg.Grace)
		st.Forecast = &f
	}
	return states, nil
}

// forecast works out the rates and draws them on. due is what is due on each of the
// coming days; it is free a grace later.
func forecast(past []poolSample, now poolSample, st *PoolState, due []int64, grace time.Duration) Forecast {
	const day = 24 * time.Hour
	f := Forecast{DayRate: inflow(past, now, day), WeekRate: inflow(past, now, 7*day)}
	rate := f.WeekRate
	if rate == nil {
		rate = f.DayRate
	}
	if rate == nil {
		return f
	}
	graceDays := int((grace + day - 1) / day)
	full := st.Usage.CapacityBytes()
	high := int64(st.Watermarks.High * float64(full))
	var freed int64
	for i := range len(due) + 1 {
		if i == graceDays {
			freed += st.Going
		}
		if d := i - graceDays - 1; d >= 0 {
			freed += due[d]
		}
		p := ForecastPoint{At: now.At.Add(time.Duration(i) * day), UsedBytes: max(0, now.Used+*rate*int64(i)-freed)}
		f.Points = append(f.Points, p)
		if f.HighAt.IsZero() && high > 0 && p.UsedBytes >= high {
			f.HighAt = p.At
		}
		if f.FullAt.IsZero() && p.UsedBytes >= full {
			f.FullAt = p.At
		}
	}
	return f
}

// inflow is what came into the pool, in bytes a day, since the oldest sample within
// the period; nil if that is of less than half of it.
func inflow(past []poolSample, now poolSample, period time.Duration) *int64 {
	i := slices.IndexFunc(past, func(s poolSample) bool { return now.At.Sub(s.At) <= period && !s.At.After(now.At) })
	if i < 0 {
		return nil
	}
	took := now.At.Sub(past[i].At)
	if took < period/2 {
		return nil
	}
	came := now.Used - past[i].Used + max(0, now.Purged-past[i].Purged)
	rate := int64(float64(came) / took.Hours() * 24)
	return &rate
}
