package openstacklab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"quarantine/integration/openstack/supervisor"
)

// command is the lab's own program: first process of a lab, and its Neutron.
const command = "openstacklab"

// over are the directories of the machine over which the lab's own are laid:
// where libvirt, the clients of Ceph and others insist on writing.
var over = []string{
	"/run", "/etc/ceph", "/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt", "/var/lib/nova", "/var/lib/cinder",
}

// cinderContext is a file of Debian 12's Cinder with a mistake: its
// notifications come back without read_deleted, and it refuses None. With
// notifications on, every creation of a volume fails.
const (
	cinderContext = "/usr/lib/python3/dist-packages/cinder/context.py"
	mistaken      = "read_deleted=values.get('read_deleted')"
	mended        = "read_deleted=values.get('read_deleted', 'no')"
)

// mounts returns what is laid over what, and mends Cinder.
func (l *Lab) mounts() ([]supervisor.Mount, error) {
	var mounts []supervisor.Mount
	for _, target := range over {
		mounts = append(mounts, supervisor.Mount{Source: l.path("over" + target), Target: target})
	}
	b, err := os.ReadFile(cinderContext)
	if err != nil {
		return nil, fmt.Errorf("mend cinder: %w", err)
	}
	text := strings.Replace(string(b), mistaken, mended, 1)
	if !strings.Contains(text, mended) {
		return nil, fmt.Errorf("mend cinder: %s is not as expected", cinderContext)
	}
	if err := os.WriteFile(l.path("etc/cinder-context.py"), []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("mend cinder: %w", err)
	}
	return append(mounts, supervisor.Mount{Source: l.path("etc/cinder-context.py"), Target: cinderContext}), nil
}

// program puts the lab's own program into the directory: this one if it is it,
// else it is built, for which a test has the Go tool and the sources.
func (l *Lab) program(ctx context.Context) error {
	target := l.path("run/" + command)
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the lab's program: %w", err)
	}
	if filepath.Base(self) == command {
		b, err := os.ReadFile(self)
		if err == nil {
			err = os.WriteFile(target, b, 0o700)
		}
		if err != nil {
			return fmt.Errorf("copy the lab's program: %w", err)
		}
		return nil
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", target, "quarantine/integration/openstack/cmd/"+command)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the lab's program: %w: %s", err, out)
	}
	return nil
}

// launch starts the supervisor, which holds the ports' marks, and waits until
// it takes orders.
func (l *Lab) launch(ctx context.Context, o Options, marks []*os.File) error {
	mounts, err := l.mounts()
	if err != nil {
		return err
	}
	config := supervisor.Config{
		Dir: l.Dir, Keep: o.Keep, Socket: l.path("run/control.sock"), Mounts: mounts, Bridges: l.site.Bridges(), Detached: o.Detached,
	}
	if err := config.Write(l.path("run/supervisor.json")); err != nil {
		return err
	}
	out, err := os.OpenFile(l.path("log/supervisor.out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start the lab's supervisor: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(l.path("run/"+command), "supervise", l.path("run/supervisor.json"))
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = l.environment(), "/", out, out, marks
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Setsid:     true, // the terminal's Ctrl-C is not for it
	}
	own := &owned{ended: make(chan struct{})}
	if !o.Detached {
		if own.pipe, err = cmd.StdinPipe(); err != nil {
			return fmt.Errorf("start the lab's supervisor: %w", err)
		}
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the lab's supervisor: %w", err)
	}
	own.kill = cmd.Process.Kill
	go func() {
		defer close(own.ended)
		_ = cmd.Wait() // how it ended does not matter
	}()
	if !o.Detached {
		l.own = own
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := l.ctl.Running(ctx); err == nil {
			return nil
		}
		select {
		case <-own.ended:
			return fmt.Errorf("the lab's supervisor %w any more", ErrNotRunning)
		case <-ctx.Done():
			return fmt.Errorf("start the lab's supervisor: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
