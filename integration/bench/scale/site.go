package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/ceph/go-ceph/rados"

	cephlab "quarantine/integration/ceph"
	"quarantine/integration/service"
	"quarantine/internal/catalog"
	"quarantine/internal/quarantine"
)

const (
	cloudName = "site"
	token     = "bench-admin"
)

// site is the service's directory and the pool that it has in its care.
type site struct {
	dir  string
	size int64 // of the catalog's file, after the filling
	fill time.Duration
}

// newSite fills a pool's trash and a catalog with the history, and writes the
// configuration. No job runs by the clock.
func newSite(ctx context.Context, lab *cephlab.Lab, n int, now quarantine.Clock, progress io.Writer) (*site, history, error) {
	h := history{n: n, now: now().UTC().Truncate(time.Second)}
	pool, err := lab.NewPool(ctx, "scale")
	if err != nil {
		return nil, h, err
	}
	h.pool = quarantine.PoolRef{FSID: lab.FSID, Pool: pool}
	dir, err := os.MkdirTemp(lab.Dir, "scale-")
	if err != nil {
		return nil, h, fmt.Errorf("make the service's directory: %w", err)
	}
	s := &site{dir: dir}
	if err := s.write(lab, pool); err != nil {
		return nil, h, err
	}
	conn, err := rados.NewConnWithUser(cephlab.Admin)
	if err != nil {
		return nil, h, fmt.Errorf("connect: %w", err)
	}
	if err := conn.ReadConfigFile(lab.Conf); err != nil {
		return nil, h, fmt.Errorf("connect: %w", err)
	}
	if err := conn.Connect(); err != nil {
		return nil, h, fmt.Errorf("connect: %w", err)
	}
	defer conn.Shutdown()
	if err := fillTrash(ctx, conn, h, progress); err != nil {
		return nil, h, err
	}
	began := now()
	c, err := catalog.Open(ctx, s.path("state/catalog.db"), catalog.Options{MaxBatch: writers, Cache: 1024}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, h, err
	}
	err = fillCatalog(ctx, c, h, progress)
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, h, err
	}
	s.fill = now().Sub(began)
	info, err := os.Stat(s.path("state/catalog.db"))
	if err != nil {
		return nil, h, fmt.Errorf("look at the catalog's file: %w", err)
	}
	s.size = info.Size()
	return s, h, nil
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// never is a schedule that does not come during a measurement, but in a leap
// year's February.
const never = "0 0 29 2 *"

func (s *site) write(lab *cephlab.Lab, pool string) error {
	if err := os.Mkdir(s.path("state"), 0o700); err != nil {
		return fmt.Errorf("make the service's directory: %w", err)
	}
	for name, text := range map[string]string{
		"token": token + "\n",
		// As the product's own: some rules, none of which is cheap.
		"policy.yaml": policyNow,
		"quarantined.yaml": fmt.Sprintf(`listen: 127.0.0.1:0
state_dir: %[1]s/state
policies: %[1]s/policy.yaml
tokens:
  - {name: bench, role: admin, file: %[1]s/token}
clouds:
  - {name: %[4]s, type: openstack}
clusters:
  - name: lab
    conf: %[2]s
    pools:
      - {name: %[3]s, cloud: %[4]s}
reconcile: {schedule: %[5]q}
collect: {schedule: %[5]q, max_clock_jump: 10y}
guard: {schedule: %[5]q}
`, s.dir, lab.Conf, pool, cloudName, never),
	} {
		if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write the service's configuration: %w", err)
		}
	}
	return nil
}

// The policies: the second keeps a part of the disks for longer and a part for
// less.
const (
	policyNow = `rules:
  - {name: unexplained, match: "!explained", retain: 30d}
  - {name: short-lived, match: 'resource_kind == "vm" && has_lifetime && lifetime < duration("1h")', retain: 3d}
  - {name: volumes, match: 'resource_kind == "volume"', retain: 30d}
default: {retain: 14d}
`
	policyThen = `rules:
  - {name: unexplained, match: "!explained", retain: 60d}
  - {name: watched, match: 'addresses.exists(a, in_cidr(a, "10.3.0.0/16"))', retain: 90d}
  - {name: big-project, match: 'project.name == "project-0"', retain: 7d}
  - {name: volumes, match: 'resource_kind == "volume"', retain: 30d}
default: {retain: 14d}
`
)

// start starts the daemon over the site.
func (s *site) start(ctx context.Context, binary string) (*service.Daemon, error) {
	return service.Start(ctx, binary, s.path("quarantined.yaml"), token)
}
