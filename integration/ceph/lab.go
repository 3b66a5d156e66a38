package cephlab

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"quarantine/integration/lab"
	"strings"
	"sync"
	"time"
)

// The users of a lab beside client.admin. Their names are those that the
// `--id` option and go-ceph's NewConnWithUser take.
const (
	// Cloud has caps by object prefix: a cloud works with it and cannot switch
	// the guard off.
	Cloud = "openstack"
	// ClassicCloud has the usual `profile rbd`, with which it can.
	ClassicCloud = "openstack-classic"
	// Quarantine has what this service needs and no more.
	Quarantine = "quarantine"
	// Auditor may list all keys' caps.
	Auditor = "quarantine-auditor"
	// Admin may do everything.
	Admin = "admin"
)

// ErrMissing says that Debian's Ceph packages are not installed.
var ErrMissing = errors.New("not installed; run: make install-deps")

// marker is the file by which a directory is known to be a lab's, so that
// nothing else is ever removed.
const marker = "cephlab"

// Options are how a lab is started. The zero value is good for tests.
type Options struct {
	// Dir is where the lab lives: a directory that does not exist or is empty.
	// Its path must be short (socket names). Empty: a new one under the
	// system's temporary directory.
	Dir string
	// Pools are the first pools; nil means vms, volumes and images.
	Pools []string
	// Detached lets the lab outlive the process that starts it.
	Detached bool
	// Keep leaves the directory, with the logs, when the lab is stopped.
	Keep bool
	// CommitInterval is how often the monitor commits changes. Zero is Ceph's
	// own second, which measurements need; tests that make many snapshots are
	// faster with less.
	CommitInterval time.Duration
	// Delay is ms_inject_delay_max, Ceph's fault injection, for messages from clients
	// to the OSD: each is held back for a time at random between nothing and that,
	// and for what the messenger's timers need, while others go on, as on a network.
	// Zero is none.
	Delay time.Duration
}

// Lab is a running Ceph.
type Lab struct {
	// Dir holds all of it.
	Dir string
	// Conf is the ceph.conf, which finds the keyring of each user by itself.
	Conf string
	// FSID is the cluster's id.
	FSID string

	keep     bool
	watchdog *watchdog // nil when opened, or detached

	mu      sync.Mutex
	stopped bool
	wanted  []wantedPool // see NewPool
	making  bool
}

// Start starts a lab and returns when it serves I/O. On error nothing is left
// running.
func Start(ctx context.Context, o Options) (_ *Lab, err error) {
	if err := checkPrograms(); err != nil {
		return nil, err
	}
	if o.Pools == nil {
		o.Pools = []string{"vms", "volumes", "images"}
	}
	dir, err := lab.Dir(o.Dir, "cephlab-")
	if err != nil {
		return nil, err
	}
	l := &Lab{Dir: dir, Conf: filepath.Join(dir, "ceph.conf"), FSID: newUUID(), keep: o.Keep}
	defer func() {
		if err != nil {
			err = fmt.Errorf("start ceph in %s: %w%s", dir, err, l.logTails())
			err = errors.Join(err, l.Stop())
		}
	}()
	if !o.Detached {
		if l.watchdog, err = startWatchdog(dir, o.Keep); err != nil {
			return nil, err
		}
	}
	if err := l.bringUp(ctx, o); err != nil {
		return nil, err
	}
	return l, nil
}

// Open returns the running lab in the directory. It may be stopped through
// the result, whoever started it. ErrNotRunning if not all of its daemons run.
func Open(dir string) (*Lab, error) {
	l, err := find(dir)
	if err != nil {
		return nil, fmt.Errorf("open the lab in %s: %w", dir, err)
	}
	for _, d := range daemons {
		if _, ok := l.pid(d); !ok {
			return nil, fmt.Errorf("open the lab in %s: %s: %w", dir, d, ErrNotRunning)
		}
	}
	return l, nil
}

// Remove stops what runs of the lab in the directory, if anything, and removes
// it.
func Remove(dir string) error {
	l, err := find(dir)
	if err != nil {
		return fmt.Errorf("remove the lab in %s: %w", dir, err)
	}
	return l.Stop()
}

// find knows a lab by its marker.
func find(dir string) (*Lab, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, marker))
	if err != nil {
		return nil, err
	}
	return &Lab{Dir: dir, Conf: filepath.Join(dir, "ceph.conf"), FSID: strings.TrimSpace(string(b))}, nil
}

// Stop ends all daemons, waits for them and removes the directory. It may be
// called more than once.
func (l *Lab) Stop() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return nil
	}
	l.stopped = true
	err := l.killAll()
	if l.watchdog != nil {
		err = errors.Join(err, l.watchdog.stop())
	}
	if l.keep || err != nil {
		return err
	}
	if err := os.RemoveAll(l.Dir); err != nil {
		return fmt.Errorf("remove the lab: %w", err)
	}
	return nil
}

// Keyring returns the path of the user's keyring file.
func (l *Lab) Keyring(user string) string {
	return filepath.Join(l.Dir, "keyrings", "client."+user+".keyring")
}

func checkPrograms() error {
	for _, p := range []string{"ceph-mon", "ceph-mgr", "ceph-osd", "monmaptool", "ceph", "rbd", "rados"} {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("%s: %w", p, ErrMissing)
		}
	}
	return nil
}

// newUUID makes a random (version 4) UUID.
func newUUID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// logTails returns the last lines of each daemon's log, for an error message.
func (l *Lab) logTails() string {
	var out strings.Builder
	logs, _ := filepath.Glob(filepath.Join(l.Dir, "log", "*.log")) // the pattern is valid
	for _, name := range logs {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
		lines = lines[max(0, len(lines)-5):]
		fmt.Fprintf(&out, "\n%s:\n%s", filepath.Base(name), bytes.Join(lines, []byte("\n")))
	}
	return out.String()
}
