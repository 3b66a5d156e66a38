package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	openstacklab "quarantine/integration/openstack"
	"quarantine/integration/service"
	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// product is the service as an operator runs it: a process with a
// configuration, over a state directory of its own.
type product struct {
	lab    *openstacklab.Lab
	binary string
	dir    string
	daemon *service.Daemon // nil while it does not run
}

const token = "bench-admin"

func newProduct(lab *openstacklab.Lab, bin string) (*product, error) {
	dir, err := os.MkdirTemp("", "bench-openstack-")
	if err != nil {
		return nil, fmt.Errorf("make the service's directory: %w", err)
	}
	p := &product{lab: lab, binary: filepath.Join(bin, "quarantined"), dir: dir}
	for name, text := range map[string]string{
		"token": token + "\n", "policy.yaml": "default: {retain: 10d}\n", "bus.url": lab.BrokerURL() + "\n",
	} {
		if err := os.WriteFile(p.path(name), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("write the service's configuration: %w", err)
		}
	}
	return p, nil
}

func (p *product) path(name string) string { return filepath.Join(p.dir, name) }

// configure writes the configuration: all as it comes, but that a lost disk is
// called lost at once.
func (p *product) configure(guarded bool) error {
	pools := p.lab.Pools()
	text := fmt.Sprintf(`listen: 127.0.0.1:0
state_dir: %[1]s/state
policies: %[1]s/policy.yaml
tokens:
  - {name: bench, role: admin, file: %[1]s/token}
clouds:
  - name: os
    type: openstack
    notifications: {url_file: %[1]s/bus.url, queue: quarantine.bench}
    api: {image_pool: %[5]s}
clusters:
  - name: lab
    conf: %[2]s
    pools:
      - {name: %[3]s, cloud: os, guard: %[6]v}
      - {name: %[4]s, cloud: os, guard: %[6]v}
      - {name: %[5]s, cloud: os, guard: %[6]v}
reconcile: {lost_after: 1s}
`, p.dir, p.lab.Ceph.Conf, pools.VMs, pools.Volumes, pools.Images, guarded)
	if err := os.WriteFile(p.path("quarantined.yaml"), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the service's configuration: %w", err)
	}
	return nil
}

// start starts the daemon and returns when it is ready.
func (p *product) start(ctx context.Context, guarded bool) error {
	if err := p.configure(guarded); err != nil {
		return err
	}
	d, err := service.Start(ctx, p.binary, p.path("quarantined.yaml"), token, p.lab.Env()...)
	if err != nil {
		return err
	}
	p.daemon = d
	return poll(ctx, slow, func() (bool, error) {
		s, err := d.Client.Status(ctx)
		return s.Ready, err
	})
}

// stop ends the daemon in order, if it runs.
func (p *product) stop() error {
	d := p.daemon
	if d == nil {
		return nil
	}
	p.daemon = nil
	return d.Stop()
}

// job runs a job, when it is not running already.
func (p *product) job(ctx context.Context, name string) error {
	return poll(ctx, slow, func() (bool, error) {
		rep, err := p.daemon.Client.RunJob(ctx, name, wire.JobRequest{})
		switch {
		case errors.Is(err, quarantine.ErrBusy):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("run %s: %w", name, err)
		case rep.Stopped != "":
			return false, fmt.Errorf("run %s: %s", name, rep.Stopped)
		}
		return true, nil
	})
}

// states are the states of the disks that died since then, by their names. Of
// two rows of a name the one in quarantine counts.
func (p *product) states(ctx context.Context, since time.Time) (map[string]string, error) {
	states := map[string]string{}
	for d, err := range p.daemon.Client.Disks(ctx, client.Query{From: since}) {
		if err != nil {
			return nil, fmt.Errorf("list the disks: %w", err)
		}
		if states[d.OriginalName] != string(quarantine.Quarantined) {
			states[d.OriginalName] = d.State
		}
	}
	return states, nil
}

// close ends it, and removes its directory unless there is an error to look
// into.
func (p *product) close(failed bool) error {
	if err := p.stop(); err != nil || failed {
		return err
	}
	if err := os.RemoveAll(p.dir); err != nil {
		return fmt.Errorf("remove the service's directory: %w", err)
	}
	return nil
}

// coverage counts what died within the period: what is in quarantine, and what
// is not.
func (p *product) coverage(ctx context.Context, from, to time.Time) (captured, missing int, err error) {
	all, err := p.daemon.Client.Coverage(ctx, "os", from, to)
	if err != nil {
		return 0, 0, err
	}
	for _, c := range all {
		captured, missing = captured+c.Captured, missing+c.Lost+c.Missed
	}
	return captured, missing, nil
}
