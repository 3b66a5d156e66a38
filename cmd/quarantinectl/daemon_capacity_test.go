package main

import (
	"time"

	"quarantine/internal/quarantine"
)

// poolStates are a pool that fills up, and one that nothing is known of.
func poolStates() []quarantine.PoolState {
	rate := int64(1) << 40
	from := at("2026-11-20T08:00:00Z")
	f := &quarantine.Forecast{DayRate: &rate, WeekRate: &rate, HighAt: from.AddDate(0, 0, 1), FullAt: from.AddDate(0, 0, 4)}
	for i := range 10 {
		f.Points = append(f.Points, quarantine.ForecastPoint{At: from.Add(time.Duration(i) * 24 * time.Hour), UsedBytes: 8<<40 + int64(i)*rate/2})
	}
	return []quarantine.PoolState{
		{
			FSID: "f", Pool: "vms", Watermarks: quarantine.Watermarks{High: 0.85, Low: 0.75}, Usage: &quarantine.PoolUsage{UsedBytes: 8 << 40, FreeBytes: 2 << 40, Objects: 7},
			Staying: 4 << 40, Going: 1 << 40, Evictable: 2 << 40, Held: 1 << 40, Compliance: 1 << 39, Young: 1 << 39, Projects: 3,
			Need: 3 << 40, Short: 1 << 40, Why: "pool vms is 90.0 % full without what is on its way out, above 85.0 %: it goes down to 75.0 %", Forecast: f,
		},
		{FSID: "f", Pool: "volumes", Fault: "how full it is cannot be read: unavailable"},
	}
}
