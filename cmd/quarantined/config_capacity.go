package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"quarantine/internal/quarantine"
)

// capacityConfig tunes what is done about pools that fill up.
type capacityConfig struct {
	// MinAge is how long every disk stays, from its death and from its capture,
	// however full its pool is; default 24h.
	MinAge duration `yaml:"min_age"`
}

// watermarksConfig says when a pool is too full: above a high mark disks go before
// their time, down to the low one. By default none ever does.
type watermarksConfig struct {
	// High and Low are of the pool's fill (%USED of `ceph df`), as 85%.
	High percent `yaml:"high"`
	Low  percent `yaml:"low"`
	// QuarantineHigh and QuarantineLow are what the disks in quarantine take in the
	// pool, as 20TiB or in bytes.
	QuarantineHigh byteSize `yaml:"quarantine_high"`
	QuarantineLow  byteSize `yaml:"quarantine_low"`
}

// percent is a part of a whole, from 0 to 1, written as 85%.
type percent float64

func (p *percent) UnmarshalYAML(b []byte) error {
	var s string
	if err := yaml.Unmarshal(b, &s); err != nil {
		return err
	}
	number, ok := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !ok || err != nil || !(v > 0 && v < 100) {
		return fmt.Errorf("%q is no percentage between 0%% and 100%%", s)
	}
	*p = percent(v / 100)
	return nil
}

// byteSize is a number of bytes, written as 20TiB, 512MiB or 1048576.
type byteSize int64

func (n *byteSize) UnmarshalYAML(b []byte) error {
	var s string
	if err := yaml.Unmarshal(b, &s); err != nil {
		return err
	}
	number, unit := strings.TrimSpace(s), 1.0
	for i, u := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if n, ok := strings.CutSuffix(number, u); ok {
			number, unit = strings.TrimSpace(n), math.Pow(1024, float64(i+1))
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v >= 1) || v*unit > 1<<62 {
		return fmt.Errorf("%q is no size like 20TiB, 512MiB or 1048576", s)
	}
	*n = byteSize(v * unit)
	return nil
}

func (w *watermarksConfig) check(pool string) error {
	switch {
	case w == nil:
		return nil
	case w.High == 0 && w.QuarantineHigh == 0:
		return fmt.Errorf("pool %s: capacity: it needs high and low, or quarantine_high and quarantine_low", pool)
	case (w.High == 0) != (w.Low == 0) || (w.QuarantineHigh == 0) != (w.QuarantineLow == 0):
		return fmt.Errorf("pool %s: capacity: high and low go together, and so do quarantine_high and quarantine_low", pool)
	case w.Low > w.High || w.QuarantineLow > w.QuarantineHigh:
		return fmt.Errorf("pool %s: capacity: a low mark is above its high one", pool)
	}
	return nil
}

// checkCapacity looks at the watermarks of all pools. Namespaces of one pool share
// its room: what two of them say of it must be the same.
func (c *config) checkCapacity() error {
	var errs []error
	if c.Capacity.MinAge.Duration < 0 {
		errs = append(errs, errors.New("capacity: min_age is negative"))
	}
	for _, cl := range c.Clusters {
		said := map[string]*watermarksConfig{}
		for _, p := range cl.Pools {
			errs = append(errs, p.Capacity.check(p.Name))
			if other := said[p.Name]; other != nil && p.Capacity != nil && *other != *p.Capacity {
				errs = append(errs, fmt.Errorf("pool %s: capacity: it differs from that of another namespace of the pool", p.Name))
			}
			if p.Capacity != nil {
				said[p.Name] = p.Capacity
			}
		}
	}
	for _, t := range c.Tokens {
		if t.Name == quarantine.EarlyByCapacity {
			errs = append(errs, fmt.Errorf("token %q: the service itself bears that name where a pool is too full", t.Name))
		}
	}
	return errors.Join(errs...)
}

// watermarks are those of the pools, by the pool outside any namespace. The pools
// are those of the connected clusters, which know their fsid.
func (c *config) watermarks(pools []quarantine.Pool) quarantine.CapacityConfig {
	out := quarantine.CapacityConfig{Pools: map[quarantine.PoolRef]quarantine.Watermarks{}, MinAge: c.Capacity.MinAge.Duration, Grace: c.Collect.Grace.Duration}
	for _, cl := range c.Clusters {
		for _, p := range cl.Pools {
			if p.Capacity == nil {
				continue
			}
			for _, q := range pools {
				if q.Cluster == cl.Name && q.Pool == p.Name {
					out.Pools[quarantine.PoolRef{FSID: q.FSID, Pool: q.Pool}] = quarantine.Watermarks{
						High: float64(p.Capacity.High), Low: float64(p.Capacity.Low),
						QuarantineHigh: int64(p.Capacity.QuarantineHigh), QuarantineLow: int64(p.Capacity.QuarantineLow),
					}
				}
			}
		}
	}
	return out
}
