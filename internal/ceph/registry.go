package ceph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"sync"

	"github.com/ceph/go-ceph/rados"

	"quarantine/internal/quarantine"
)

// Registry routes to the cluster that a key or pool names. It implements the
// domain's ports, but for the one that removes (NewRemover).
type Registry struct {
	byFSID map[string]*Cluster
	order  []*Cluster
}

var (
	_ quarantine.Trash    = (*Registry)(nil)
	_ quarantine.Images   = (*Registry)(nil)
	_ quarantine.Cloner   = (*Registry)(nil)
	_ quarantine.Reader   = (*Registry)(nil)
	_ quarantine.Guard    = (*Registry)(nil)
	_ quarantine.Clusters = (*Registry)(nil)

	_ quarantine.Snapshotter = (*Registry)(nil)
)

// NewRegistry takes connected clusters. Two of one fsid are an error: the same
// disks would be adopted twice.
func NewRegistry(clusters ...*Cluster) (*Registry, error) {
	r := &Registry{byFSID: map[string]*Cluster{}, order: clusters}
	for _, c := range clusters {
		if other := r.byFSID[c.fsid]; other != nil {
			return nil, fmt.Errorf("clusters %s and %s are the same cluster (%s): %w", other.name, c.name, c.fsid, quarantine.ErrInvalid)
		}
		r.byFSID[c.fsid] = c
	}
	return r, nil
}

// Close closes all clusters, side by side: one that hangs must not use up the
// time of the others.
func (r *Registry) Close() error {
	errs := make([]error, len(r.order))
	var wg sync.WaitGroup
	for i, c := range r.order {
		wg.Go(func() { errs[i] = c.Close() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Run returns nil when ctx ends, or an error that wraps ErrUnavailable when one
// of the clusters has blocklisted this client, as Ceph does with one that was
// frozen while it held an image's lock and that somebody else waited for. The
// connection is of no use from then on; a new process gets another.
func (r *Registry) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(r.order))
	var wg sync.WaitGroup
	for i, c := range r.order {
		wg.Go(func() {
			select {
			case <-c.shutOut:
				errs[i] = fmt.Errorf("cluster %s has blocklisted this client: %w", c.name, quarantine.ErrUnavailable)
				cancel()
			case <-ctx.Done():
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Pools returns the pools of all clusters.
func (r *Registry) Pools() []quarantine.Pool {
	var pools []quarantine.Pool
	for _, c := range r.order {
		pools = append(pools, c.pools...)
	}
	return pools
}

// cluster returns the cluster. One that is not in the configuration, maybe any more, is
// ErrUnavailable: it cannot be asked, and of ErrNotFound it would follow that its
// images are gone.
func (r *Registry) cluster(fsid string) (*Cluster, error) {
	if c := r.byFSID[fsid]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("cluster %q is not in the configuration: %w", fsid, quarantine.ErrUnavailable)
}

// pool returns the cluster and the I/O context of a pool.
func (r *Registry) pool(ctx context.Context, p quarantine.PoolRef) (*Cluster, *rados.IOContext, error) {
	c, err := r.cluster(p.FSID)
	if err != nil {
		return nil, nil, err
	}
	io, err := c.ioctx(ctx, p)
	return c, io, err
}

// Health asks the monitors. Similar to: ceph health -f json.
func (r *Registry) Health(ctx context.Context, fsid string) (quarantine.Health, error) {
	c, err := r.cluster(fsid)
	if err != nil {
		return quarantine.Health{}, err
	}
	out, err := c.monCommand(ctx, "health")
	if err != nil {
		return quarantine.Health{}, err
	}
	var h struct {
		Status string                     `json:"status"`
		Checks map[string]json.RawMessage `json:"checks"`
	}
	if err := json.Unmarshal(out, &h); err != nil || h.Status == "" {
		return quarantine.Health{}, fmt.Errorf("cluster %s: its health does not parse: %w", c.name, errors.Join(quarantine.ErrUnavailable, err))
	}
	res := quarantine.Health{Status: h.Status}
	for name := range h.Checks {
		res.Checks = append(res.Checks, name)
	}
	sort.Strings(res.Checks)
	return res, nil
}

// AuthDump returns `ceph auth ls -f json`, secrets and all: whoever calls it
// must drop them at once. It needs a key that may, which the service's own may
// not.
func (c *Cluster) AuthDump(ctx context.Context) ([]byte, error) { return c.monCommand(ctx, "auth ls") }

// monCommand runs a command of the monitors; args are its further arguments, each a
// name and a value.
func (c *Cluster) monCommand(ctx context.Context, prefix string, args ...string) ([]byte, error) {
	words := map[string]any{}
	for i := 0; i+1 < len(args); i += 2 {
		words[args[i]] = args[i+1]
	}
	return c.monCommandWith(ctx, prefix, words)
}

// monCommandWith is monCommand with arguments that are no text: the monitors
// take no number for a text, nor the other way.
func (c *Cluster) monCommandWith(ctx context.Context, prefix string, words map[string]any) ([]byte, error) {
	words["prefix"], words["format"] = prefix, "json"
	cmd, err := json.Marshal(words)
	if err != nil {
		return nil, fmt.Errorf("encode the command %s: %w", prefix, err)
	}
	return get(ctx, c, "cluster "+c.name+": ceph "+prefix, func() ([]byte, error) {
		out, _, err := c.conn.MonCommand(cmd)
		return out, err
	}, nil)
}
