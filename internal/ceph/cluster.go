package ceph

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/ceph/go-ceph/rados"

	"quarantine/internal/quarantine"
)

// ClusterConfig says how to reach a cluster and which of its pools are in the
// service's care.
type ClusterConfig struct {
	Name string
	// Conf and Keyring are files; User is without "client.".
	Conf, User, Keyring string
	// OpTimeout is how long the monitors and OSDs may take for one operation
	// (rados_mon_op_timeout, rados_osd_op_timeout, client_mount_timeout).
	OpTimeout time.Duration
	// Workers bounds the calls under way at once.
	Workers int
	// Pools have no FSID yet; it is asked of the cluster.
	Pools []quarantine.Pool
	// Steps, for fault injection, is called before and after each call to
	// Ceph; production has none.
	Steps quarantine.Steps
}

// Cluster is a connection to one Ceph cluster.
type Cluster struct {
	name  string
	fsid  string
	pools []quarantine.Pool
	conn  *rados.Conn
	slots chan struct{}
	steps quarantine.Steps

	mu     sync.Mutex
	closed bool
	ioctxs map[quarantine.PoolRef]*rados.IOContext
	calls  sync.WaitGroup
	// timeout is how long Close waits beyond the operations' own timeout.
	timeout time.Duration
}

// Connect connects to the cluster. It fails within OpTimeout when no monitor
// answers.
func Connect(ctx context.Context, cfg ClusterConfig) (*Cluster, error) {
	what := "connect to cluster " + cfg.Name
	conn, err := rados.NewConnWithUser(cfg.User)
	if err != nil {
		return nil, mapped(what, err)
	}
	if err := conn.ReadConfigFile(cfg.Conf); err != nil {
		return nil, fmt.Errorf("%s: read %s: %w", what, cfg.Conf, err)
	}
	seconds := strconv.Itoa(max(1, int(cfg.OpTimeout/time.Second)))
	options := map[string]string{
		"rados_mon_op_timeout": seconds, "rados_osd_op_timeout": seconds, "client_mount_timeout": seconds,
		// Reads of evidence are streamed once; a cache would only cost memory,
		// and a write cache has nothing to write.
		"rbd_cache": "false",
	}
	if cfg.Keyring != "" {
		options["keyring"] = cfg.Keyring
	}
	for k, v := range options {
		if err := conn.SetConfigOption(k, v); err != nil {
			return nil, fmt.Errorf("%s: set %s: %w", what, k, err)
		}
	}
	c := &Cluster{
		name: cfg.Name, conn: conn, slots: make(chan struct{}, max(1, cfg.Workers)), steps: cfg.Steps,
		ioctxs: map[quarantine.PoolRef]*rados.IOContext{}, timeout: cfg.OpTimeout,
	}
	if err := c.do(ctx, what, conn.Connect); err != nil {
		return nil, err
	}
	if c.fsid, err = conn.GetFSID(); err != nil {
		return nil, errors.Join(mapped("ask cluster "+cfg.Name+" for its fsid", err), c.Close())
	}
	for _, p := range cfg.Pools {
		p.FSID, p.Cluster = c.fsid, cfg.Name
		c.pools = append(c.pools, p)
		if _, err := c.ioctx(p.PoolRef); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// FSID is the cluster's id.
func (c *Cluster) FSID() string { return c.fsid }

// Close waits for the calls that are under way, which end within the operation
// timeout, and disconnects.
func (c *Cluster) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.mu.Unlock()

	done := make(chan struct{})
	go func() { c.calls.Wait(); close(done) }()
	// An act of librbd is several operations, each with its own timeout.
	timer := time.NewTimer(3*c.timeout + 5*time.Second)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		// Shutdown under a running call would crash the process; the calls are
		// left to the end of the process instead.
		return fmt.Errorf("close cluster %s: calls to Ceph do not end: %w", c.name, quarantine.ErrUnavailable)
	}
	for _, io := range c.ioctxs {
		io.Destroy()
	}
	c.conn.Shutdown()
	return nil
}

// ioctx returns the pool's I/O context, with its namespace set. It is made
// once and shared: librbd takes copies and changes nothing in it.
func (c *Cluster) ioctx(p quarantine.PoolRef) (*rados.IOContext, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fmt.Errorf("open pool %s: cluster %s is closed: %w", p, c.name, quarantine.ErrUnavailable)
	}
	if io := c.ioctxs[p]; io != nil {
		return io, nil
	}
	io, err := c.conn.OpenIOContext(p.Pool)
	if err != nil {
		return nil, mapped("open pool "+p.String()+" of cluster "+c.name, err)
	}
	io.SetNamespace(p.Namespace)
	c.ioctxs[p] = io
	return io, nil
}

// do runs a call that yields nothing but an error.
func (c *Cluster) do(ctx context.Context, what string, call func() error) error {
	_, err := get(ctx, c, what, func() (struct{}, error) { return struct{}{}, call() }, nil)
	return err
}

// get runs a call on a goroutine in one of the cluster's slots and waits for
// its result or for ctx. A result that comes after the caller has gone is
// given to drop.
func get[T any](ctx context.Context, c *Cluster, what string, call func() (T, error), drop func(T)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, mapped(what, err)
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return none, mapped(what, ctx.Err())
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		<-c.slots
		return none, fmt.Errorf("%s: cluster %s is closed: %w", what, c.name, quarantine.ErrUnavailable)
	}
	c.calls.Add(1)
	c.mu.Unlock()

	type result struct {
		value T
		err   error
	}
	ch := make(chan result)
	left := make(chan struct{})
	go func() {
		defer c.calls.Done()
		defer func() { <-c.slots }()
		v, err := stepped(c.steps, what, call)
		select {
		case ch <- result{v, err}:
		case <-left:
			if err == nil && drop != nil {
				drop(v)
			}
		}
	}()
	select {
	case r := <-ch:
		return r.value, mapped(what, r.err)
	case <-ctx.Done():
		close(left)
		return none, mapped(what, ctx.Err())
	}
}

// stepped makes the call between its two fault points.
func stepped[T any](steps quarantine.Steps, what string, call func() (T, error)) (T, error) {
	if steps == nil {
		return call()
	}
	var none T
	if err := steps("ceph: " + what + ".before"); err != nil {
		return none, err
	}
	v, err := call()
	if err != nil {
		return v, err
	}
	return v, steps("ceph: " + what + ".after")
}
