package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	openstacklab "quarantine/integration/openstack"
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
	daemon *daemon // nil while it does not run
}

// daemon is the running process.
type daemon struct {
	cmd    *exec.Cmd
	client *client.Client
	ended  chan struct{} // closed when its output ends
}

const token = "bench-admin"

// stopTime is how long the daemon may take to end in order.
const stopTime = 2 * time.Minute

var (
	errEnded = errors.New("the daemon ended")
	serving  = regexp.MustCompile(`msg=serving .*addr=(\S+)`)
)

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
	cmd := exec.Command(p.binary, "--config", p.path("quarantined.yaml"))
	cmd.Env = append(os.Environ(), p.lab.Env()...)
	// Should this process die, the daemon goes with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	log, err := os.OpenFile(p.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	if err := cmd.Start(); err != nil {
		log.Close()
		return fmt.Errorf("start the daemon: %w", err)
	}
	d := &daemon{cmd: cmd, ended: make(chan struct{})}
	p.daemon = d
	addr := make(chan string, 1)
	go func() {
		defer close(d.ended)
		defer log.Close()
		follow(stderr, log, addr)
	}()
	select {
	case a := <-addr:
		if d.client, err = client.New(client.Config{Server: "http://" + a, Token: token}); err != nil {
			return err
		}
	case <-d.ended:
		return fmt.Errorf("%w: see %s", errEnded, p.path("log"))
	case <-ctx.Done():
		return ctx.Err()
	}
	return poll(ctx, slow, func() (bool, error) {
		s, err := d.client.Status(ctx)
		return s.Ready, err
	})
}

// follow copies the daemon's log, and tells the address when it serves.
func follow(r io.Reader, log io.Writer, addr chan<- string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fmt.Fprintln(log, lines.Text())
		if m := serving.FindStringSubmatch(lines.Text()); m != nil {
			addr <- m[1]
		}
	}
}

// stop ends the daemon in order, if it runs.
func (p *product) stop() error {
	d := p.daemon
	if d == nil {
		return nil
	}
	p.daemon = nil
	if d.client != nil {
		d.client.Close()
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the daemon: %w", err)
	}
	kill := time.AfterFunc(stopTime, func() { _ = d.cmd.Process.Kill() }) // it may have ended just now
	defer kill.Stop()
	<-d.ended
	if err := d.cmd.Wait(); err != nil {
		return fmt.Errorf("stop the daemon: %w: see %s", err, p.path("log"))
	}
	return nil
}

// job runs a job, when it is not running already.
func (p *product) job(ctx context.Context, name string) error {
	return poll(ctx, slow, func() (bool, error) {
		rep, err := p.daemon.client.RunJob(ctx, name, wire.JobRequest{})
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
	for d, err := range p.daemon.client.Disks(ctx, client.Query{From: since}) {
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
	all, err := p.daemon.client.Coverage(ctx, "os", from, to)
	if err != nil {
		return 0, 0, err
	}
	for _, c := range all {
		captured, missing = captured+c.Captured, missing+c.Lost+c.Missed
	}
	return captured, missing, nil
}
