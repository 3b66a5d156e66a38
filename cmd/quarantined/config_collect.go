package main

import (
	"errors"
	"fmt"

	"quarantine/internal/quarantine"
)

// collectConfig is when and how fast space is freed.
type collectConfig struct {
	// Schedule is a cron line in UTC, default "17 * * * *".
	Schedule     string   `yaml:"schedule"`
	Grace        duration `yaml:"grace"`
	MaxClockJump duration `yaml:"max_clock_jump"`
	MaxDisks     int      `yaml:"max_disks"`
	MaxBytes     int64    `yaml:"max_bytes"`
	Workers      int      `yaml:"workers"`
	// DisksPerSecond bounds how fast disks are purged; default 0: no bound.
	DisksPerSecond float64 `yaml:"disks_per_second"`
	// ObjectsPerSecond and BytesPerSecond bound how fast the RADOS objects of each
	// pool, and the bytes in them, are removed; default 0: no bound.
	ObjectsPerSecond float64 `yaml:"objects_per_second"`
	BytesPerSecond   int64   `yaml:"bytes_per_second"`
	// Windows are the times of day, in UTC, during which space is freed, as
	// "22:00-06:00"; default none: always.
	Windows []string `yaml:"windows"`
	// MaxLatency is how long Ceph's OSDs may take for a write before removals
	// slow down, default 50ms.
	MaxLatency duration `yaml:"max_latency"`
}

// checkPace returns what is wrong with the bounds.
func (c *collectConfig) checkPace() error {
	var errs []error
	for name, r := range map[string]float64{"disks": c.DisksPerSecond, "objects": c.ObjectsPerSecond} {
		if r < 0 || r > 1e6 {
			errs = append(errs, fmt.Errorf("collect.%s_per_second: %v is not between 0 and 1000000", name, r))
		}
	}
	if c.BytesPerSecond < 0 {
		errs = append(errs, fmt.Errorf("collect.bytes_per_second: %d is less than 0", c.BytesPerSecond))
	}
	if c.MaxLatency.Duration < 0 {
		errs = append(errs, fmt.Errorf("collect.max_latency: %s is less than 0", c.MaxLatency))
	}
	for _, w := range c.Windows {
		if _, err := quarantine.ParseWindow(w); err != nil {
			errs = append(errs, fmt.Errorf("collect.windows: %w", err))
		}
	}
	return errors.Join(errs...)
}

// pace sets the bounds, which were checked.
func (c *collectConfig) pace(s *quarantine.Safety) {
	s.DisksPerSecond, s.ObjectsPerSecond, s.BytesPerSecond = c.DisksPerSecond, c.ObjectsPerSecond, c.BytesPerSecond
	s.MaxLatency = c.MaxLatency.Duration
	for _, text := range c.Windows {
		if w, err := quarantine.ParseWindow(text); err == nil {
			s.Windows = append(s.Windows, w)
		}
	}
}
