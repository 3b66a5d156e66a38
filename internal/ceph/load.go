package ceph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"quarantine/internal/quarantine"
)

// Load asks the manager how long the OSDs' writes take; where the service's key
// may not ask it (mgr 'allow command "osd perf"'), a read of its own from each
// pool is timed instead. What data is moved, the monitors know. Similar to: ceph
// osd perf; ceph status.
func (r *Registry) Load(ctx context.Context, fsid string) (quarantine.Load, error) {
	var l quarantine.Load
	c, err := r.cluster(fsid)
	if err != nil {
		return l, err
	}
	l.Of = "writes of the OSDs"
	l.Latency, err = c.osdLatency(ctx)
	if errors.Is(err, quarantine.ErrRefused) {
		l.Of = "the service's own reads"
		l.Latency, err = c.readLatency(ctx)
	}
	if err != nil {
		return l, err
	}
	out, err := c.monCommand(ctx, "status")
	if err != nil {
		return l, err
	}
	if l.Recovering, err = recovering(out); err != nil {
		err = fmt.Errorf("cluster %s: its status does not parse: %w: %w", c.name, quarantine.ErrUnavailable, err)
	}
	return l, err
}

// osdLatency is what nineteen of twenty OSDs keep to: one bad disk of a large
// cluster is not a reason to free no space.
func (c *Cluster) osdLatency(ctx context.Context) (time.Duration, error) {
	cmd := []byte(`{"prefix":"osd perf","format":"json"}`)
	out, err := get(ctx, c, "cluster "+c.name+": ceph osd perf", func() ([]byte, error) {
		out, _, err := c.conn.MgrCommand([][]byte{cmd})
		return out, err
	}, nil)
	if err != nil {
		return 0, err
	}
	latency, err := slowest(out)
	if err != nil {
		err = fmt.Errorf("cluster %s: ceph osd perf does not parse: %w: %w", c.name, quarantine.ErrUnavailable, err)
	}
	return latency, err
}

// slowest reads `ceph osd perf -f json`.
func slowest(out []byte) (time.Duration, error) {
	var perf struct {
		Stats struct {
			OSDs []struct {
				Stats struct {
					Commit int64 `json:"commit_latency_ms"`
					Apply  int64 `json:"apply_latency_ms"`
				} `json:"perf_stats"`
			} `json:"osd_perf_infos"`
		} `json:"osdstats"`
	}
	if err := json.Unmarshal(out, &perf); err != nil {
		return 0, err
	}
	var all []int64
	for _, o := range perf.Stats.OSDs {
		all = append(all, max(o.Stats.Commit, o.Stats.Apply))
	}
	if len(all) == 0 {
		return 0, nil // the manager has just begun
	}
	slices.Sort(all)
	return time.Duration(all[(len(all)*19+19)/20-1]) * time.Millisecond, nil
}

// readLatency is the longest that one read of a pool's trash takes.
func (c *Cluster) readLatency(ctx context.Context) (time.Duration, error) {
	var longest time.Duration
	if c.cfg.Clock == nil {
		return 0, nil
	}
	for _, p := range c.pools {
		io, err := c.ioctx(ctx, p.PoolRef)
		if err != nil {
			return 0, err
		}
		var took time.Duration
		err = c.do(ctx, "time a read of "+p.PoolRef.String(), func() error {
			began := c.cfg.Clock()
			_, err := io.GetOmapValues(trashObject, "", trashKeyPrefix, 1)
			took = c.cfg.Clock().Sub(began)
			if gone(err) {
				return nil
			}
			return err
		})
		if err != nil {
			return 0, err
		}
		longest = max(longest, took)
	}
	return longest, nil
}

// recovering reads from `ceph status -f json` which placement groups move data.
func recovering(out []byte) (string, error) {
	var st struct {
		PGMap struct {
			States []struct {
				Name  string `json:"state_name"`
				Count int    `json:"count"`
			} `json:"pgs_by_state"`
		} `json:"pgmap"`
	}
	if err := json.Unmarshal(out, &st); err != nil {
		return "", err
	}
	var moving []string
	for _, s := range st.PGMap.States {
		for _, word := range strings.Split(s.Name, "+") {
			// Not those that wait for their turn, which can be weeks.
			if word == "recovering" || word == "backfilling" {
				moving = append(moving, fmt.Sprintf("%d placement groups are %s", s.Count, s.Name))
				break
			}
		}
	}
	return strings.Join(moving, ", "), nil
}
