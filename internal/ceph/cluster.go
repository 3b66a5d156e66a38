package ceph

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

// ClusterConfig says how to reach a cluster and which of its pools are in the
// service's care.
type ClusterConfig struct {
	Name string
	// Conf and Keyring are files; User is without "client.".
	Conf, User, Keyring string
	// OpTimeout is how long the monitors and OSDs may take for one operation
	// (rados_mon_op_timeout, rados_osd_op_timeout, client_mount_timeout); Ceph
	// counts whole seconds.
	OpTimeout time.Duration
	// Workers bounds the calls under way at once.
	Workers int
	// Pools have no FSID yet; it is asked of the cluster.
	Pools []quarantine.Pool
	// Clock times reads where the manager does not tell how busy the OSDs are;
	// nil: they are not timed.
	Clock quarantine.Clock
	// Steps, for fault injection, is called before and after each call to
	// Ceph; production has none.
	Steps quarantine.Steps
}

// Cluster is a connection to one Ceph cluster.
type Cluster struct {
	name  string
	cfg   ClusterConfig
	fsid  string
	pools []quarantine.Pool
	conn  *rados.Conn
	slots chan struct{}
	steps quarantine.Steps // nil: no fault points

	mu     sync.Mutex
	closed bool
	ioctxs map[quarantine.PoolRef]*rados.IOContext
	// calls counts what needs the connection: calls under way, open images,
	// watches.
	calls sync.WaitGroup
	// timeout is that of one operation.
	timeout time.Duration
	// shutOut is closed when Ceph has blocklisted this connection.
	shutOut     chan struct{}
	shutOutOnce sync.Once
	asking      sync.Mutex // held by who asks whether it has

	canary chan struct{} // held by the one canary check that is under way
	// lastCanary are the image ids of the canaries that were let go last; for the
	// holder of canary.
	lastCanary map[quarantine.PoolRef]string
}

// Connect connects to the cluster and looks for its pools: ErrNotFound if one
// of them, or its namespace, is not there. It fails within OpTimeout when no
// monitor answers, and when ctx ends it takes no longer either.
func Connect(ctx context.Context, cfg ClusterConfig) (*Cluster, error) {
	what := "connect to cluster " + cfg.Name
	conn, err := newConn(cfg)
	if err != nil {
		return nil, mapped(what, err)
	}
	c := &Cluster{
		name: cfg.Name, cfg: cfg, conn: conn, slots: make(chan struct{}, max(1, cfg.Workers)), steps: cfg.Steps,
		ioctxs: map[quarantine.PoolRef]*rados.IOContext{}, timeout: cfg.OpTimeout, canary: make(chan struct{}, 1), lastCanary: map[quarantine.PoolRef]string{},
		shutOut: make(chan struct{}),
	}
	if err := c.do(ctx, what, conn.Connect); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if c.fsid, err = conn.GetFSID(); err != nil {
		return nil, errors.Join(mapped("ask cluster "+cfg.Name+" for its fsid", err), c.Close())
	}
	for _, p := range cfg.Pools {
		p.FSID, p.Cluster = c.fsid, cfg.Name
		c.pools = append(c.pools, p)
		if err := c.lookFor(ctx, p.PoolRef); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// newConn makes a handle of a connection that is not yet connected.
func newConn(cfg ClusterConfig) (*rados.Conn, error) {
	conn, err := rados.NewConnWithUser(cfg.User)
	if err != nil {
		return nil, err
	}
	if err := conn.ReadConfigFile(cfg.Conf); err != nil {
		return nil, fmt.Errorf("read %s: %w", cfg.Conf, err)
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
			return nil, fmt.Errorf("set %s: %w", k, err)
		}
	}
	return conn, nil
}

// lookFor returns ErrNotFound unless the pool and the namespace exist. Ceph
// itself takes any namespace for an empty one.
func (c *Cluster) lookFor(ctx context.Context, p quarantine.PoolRef) error {
	io, err := c.ioctx(ctx, quarantine.PoolRef{FSID: p.FSID, Pool: p.Pool})
	if err != nil || p.Namespace == "" {
		return err
	}
	what := "look for namespace " + p.String() + " of cluster " + c.name
	exists, err := get(ctx, c, what, func() (bool, error) { return rbd.NamespaceExists(io, p.Namespace) }, nil)
	if err == nil && !exists {
		err = fmt.Errorf("%s: %w", what, quarantine.ErrNotFound)
	}
	return err
}

// FSID is the cluster's id.
func (c *Cluster) FSID() string { return c.fsid }

// Close waits for what is under way, and disconnects. While Ceph hangs, the
// operation timeout ends the calls; what goes on nevertheless is left to the
// end of the process, and the error wraps ErrUnavailable.
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
	timer := time.NewTimer(closeTimeout(c.timeout))
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		// To disconnect under a running call would crash the process.
		return fmt.Errorf("close cluster %s: calls to Ceph do not end: %w", c.name, quarantine.ErrUnavailable)
	}
	for _, io := range c.ioctxs {
		io.Destroy()
	}
	c.conn.Shutdown()
	return nil
}

// closeTimeout is how long Close waits: an act of librbd is several
// operations, each with its own timeout.
func closeTimeout(op time.Duration) time.Duration { return 3*op + 5*time.Second }

// ioctx returns the pool's I/O context, with its namespace set. It is made
// once and shared: librbd takes copies and changes nothing in it. ErrNotFound
// if there is no such pool.
func (c *Cluster) ioctx(ctx context.Context, p quarantine.PoolRef) (*rados.IOContext, error) {
	c.mu.Lock()
	io := c.ioctxs[p]
	c.mu.Unlock()
	if io != nil {
		return io, nil
	}
	// A pool that the client's map has not makes it ask the monitors.
	return get(ctx, c, "open pool "+p.String()+" of cluster "+c.name, func() (*rados.IOContext, error) {
		io, err := c.conn.OpenIOContext(p.Pool)
		if err != nil {
			return nil, err
		}
		io.SetNamespace(p.Namespace)
		c.mu.Lock()
		defer c.mu.Unlock()
		if first := c.ioctxs[p]; first != nil {
			io.Destroy()
			return first, nil
		}
		c.ioctxs[p] = io
		return io, nil
	}, nil)
}

// stands returns ErrNotFound unless the pool that the I/O context was made for
// still exists. Ceph answers ENOENT for an object that is not there and for a
// pool that was deleted alike.
func (c *Cluster) stands(ctx context.Context, io *rados.IOContext, p quarantine.PoolRef) error {
	return c.do(ctx, "look for pool "+p.Pool+" of cluster "+c.name, func() error {
		id, err := c.conn.GetPoolByName(p.Pool)
		if err == nil && id != io.GetPoolID() {
			err = fmt.Errorf("deleted, and another made of that name: %w", quarantine.ErrNotFound)
		}
		return err
	})
}
