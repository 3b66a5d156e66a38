package openstacklab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	cephlab "quarantine/integration/ceph"
	"quarantine/integration/lab"
	"quarantine/integration/openstack/supervisor"
)

// ErrMissing says that Debian's packages are not installed.
var ErrMissing = errors.New("not installed; run: integration/install-deps.sh openstack")

// ErrNotRunning says that a lab, or a service of it, is not there.
var ErrNotRunning = errors.New("does not run")

// stopTimeout is how long killed processes may take to be gone.
const stopTimeout = 30 * time.Second

// Options are how a lab is started. Only Ceph must be given.
type Options struct {
	// Dir is where the lab lives: a directory that does not exist or is empty,
	// and not below /run. Empty: a new one under the system's temporary
	// directory.
	Dir string
	// Ceph is where the disks are. The lab makes pools and a key of its own
	// there and leaves them behind.
	Ceph *cephlab.Lab
	// Unguarded starts with the guard off (see Lab.Guard).
	Unguarded bool
	// Detached lets the lab outlive the process that starts it.
	Detached bool
	// Keep leaves the directory, with the logs, when the lab is stopped.
	Keep bool
	// Log tells what was started and how long it took; nil for silence.
	Log *slog.Logger
}

// Pools are the names of the lab's RBD pools.
type Pools struct {
	VMs, Volumes, Images string
}

// Lab is a running OpenStack.
type Lab struct {
	// Dir holds all of it; the services' logs are in log.
	Dir string
	// Ceph is where its disks are.
	Ceph *cephlab.Lab

	site site
	ctl  *supervisor.Client
	log  *slog.Logger
	own  *owned // nil when opened, or detached
}

// owned is the supervisor of a lab that this process started.
type owned struct {
	pipe  io.Closer
	ended chan struct{} // closed when it is gone
	kill  func() error
}

// Start starts a lab and returns when it builds servers and makes volumes.
// On error nothing is left running.
func Start(ctx context.Context, o Options) (_ *Lab, err error) {
	if err := checkPrograms(); err != nil {
		return nil, err
	}
	if o.Ceph == nil {
		return nil, errors.New("start openstack: no Ceph given")
	}
	dir, err := lab.Dir(o.Dir, "oslab-")
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(dir, "/run/") {
		return nil, fmt.Errorf("the lab's directory %s is below /run, which the lab's processes do not see", dir)
	}
	l := &Lab{Dir: dir, Ceph: o.Ceph, log: o.Log}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.ctl = supervisor.NewClient(l.path("run/control.sock"))
	defer func() {
		if err != nil {
			err = fmt.Errorf("start openstack in %s: %w%s", dir, err, l.logTails())
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			err = errors.Join(err, l.Stop(ctx))
		}
	}()
	begin := time.Now()
	if err := l.bringUp(ctx, o); err != nil {
		return nil, err
	}
	l.log.Info("openstack is up", "took", time.Since(begin).Round(time.Millisecond))
	return l, nil
}

// Open returns the running lab in the directory. It may be stopped through the
// result, whoever started it. ErrNotRunning if it does not run, whole or in
// part; services that were stopped one by one do not matter.
func Open(dir string) (*Lab, error) {
	l, err := find(dir)
	if err != nil {
		return nil, fmt.Errorf("open the lab in %s: %w", dir, err)
	}
	if l.Ceph, err = cephlab.Open(l.site.CephDir); err != nil {
		return nil, fmt.Errorf("open the lab in %s: %w", dir, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := l.ctl.Running(ctx); err != nil {
		return nil, fmt.Errorf("open the lab in %s: it %w: %w", dir, ErrNotRunning, err)
	}
	return l, nil
}

// Remove stops what runs of the lab in the directory, if anything, and removes
// it.
func Remove(ctx context.Context, dir string) error {
	l, err := find(dir)
	if err != nil {
		return fmt.Errorf("remove the lab in %s: %w", dir, err)
	}
	return l.Stop(ctx)
}

// siteFile is the file by which a directory is known to be a lab's, so that
// nothing else is ever removed.
const siteFile = "openstacklab.json"

// find knows a lab by its file.
func find(dir string) (*Lab, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, siteFile))
	if err != nil {
		return nil, err
	}
	l := &Lab{Dir: dir, log: slog.New(slog.DiscardHandler)}
	if err := json.Unmarshal(b, &l.site); err != nil {
		return nil, err
	}
	l.ctl = supervisor.NewClient(l.path("run/control.sock"))
	return l, nil
}

// Stop ends all processes, waits for them and removes the bridges and the
// directory. It may be called more than once.
func (l *Lab) Stop(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	ended := l.ctl.End(ctx) // fails if there is none: gone, or never came
	switch {
	case l.own != nil:
		_ = l.own.pipe.Close() // the same order again, should that have failed
		select {
		case <-l.own.ended:
		case <-ctx.Done():
			return fmt.Errorf("stop the lab: %w", errors.Join(ctx.Err(), l.own.kill()))
		}
	case ended == nil:
		for {
			if _, err := l.ctl.Running(ctx); err != nil {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("stop the lab: %w", ctx.Err())
			}
		}
	}
	if l.site.Keep {
		return nil
	}
	if err := os.RemoveAll(l.Dir); err != nil {
		return fmt.Errorf("remove the lab: %w", err)
	}
	return nil
}

func (l *Lab) path(name string) string { return filepath.Join(l.Dir, name) }

func checkPrograms() error {
	if os.Geteuid() != 0 {
		return errors.New("the OpenStack lab needs root")
	}
	for _, p := range []string{
		"keystone-manage", "placement-manage", "glance-api", "cinder-volume", "nova-compute", "mariadbd", "libvirtd",
		"virsh", "qemu-system-x86_64", "uwsgi", "genisoimage", "ip",
	} {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("%s: %w", p, ErrMissing)
		}
	}
	return nil
}
