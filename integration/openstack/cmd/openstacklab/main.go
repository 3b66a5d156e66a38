// Command openstacklab starts and stops a lab OpenStack on a lab Ceph, for
// tests and for hand work: see package openstacklab. It is also the first
// process of a lab, and its Neutron.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	cephlab "quarantine/integration/ceph"
	openstacklab "quarantine/integration/openstack"
	"quarantine/integration/openstack/supervisor"
)

const usage = `usage: openstacklab COMMAND [-dir DIR] [-ceph DIR]

  up    start a lab that stays until "down", on the lab Ceph in -ceph or, if
        there is none, a new one there
  down  stop it, and the lab Ceph
  env   print how to use it
  run   [-ceph DIR] [-commit DURATION] -- PROGRAM ARG…
        start a lab Ceph (unless -ceph names one) and a lab, run the program
        with their directories in QUARANTINE_LAB and QUARANTINE_OPENSTACK_LAB,
        stop them, and end with the program's status
`

// orderTime is how long a lab's end may take when the context is over.
const orderTime = time.Minute

var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := command(ctx, args, stdout, stderr)
	var status programStatus
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage), errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stderr, usage)
		return 2
	case errors.As(err, &status):
		return int(status)
	}
	fmt.Fprintln(stderr, "error:", err)
	return 1
}

// programStatus is the exit status of the program that run ran, which has said
// itself what is wrong.
type programStatus int

func (s programStatus) Error() string { return fmt.Sprintf("the program ended with status %d", int(s)) }

func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	fs := flag.NewFlagSet("openstacklab", flag.ContinueOnError)
	fs.SetOutput(stderr)
	dir := fs.String("dir", filepath.Join(os.TempDir(), "quarantine-openstack"), "the lab's directory")
	ceph := fs.String("ceph", "", "the directory of the lab Ceph (up, down: beside -dir)")
	commit := fs.Duration("commit", 50*time.Millisecond, "the commit interval of a new lab Ceph's monitor")
	if err := fs.Parse(args[1:]); err != nil {
		return errUsage
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	switch args[0] {
	case "supervise": // FILE: not for people
		if fs.NArg() != 1 {
			return errUsage
		}
		return supervisor.Run(fs.Arg(0))
	case "neutron": // DIR: not for people
		if fs.NArg() != 1 {
			return errUsage
		}
		return openstacklab.ServeNeutron(ctx, fs.Arg(0))
	case "up":
		return up(ctx, *dir, orBeside(*ceph, *dir), *commit, log, stdout)
	case "down":
		return down(ctx, *dir, orBeside(*ceph, *dir))
	case "env":
		l, err := openstacklab.Open(*dir)
		if err != nil {
			return err
		}
		explain(stdout, l)
		return nil
	case "run":
		if fs.NArg() == 0 {
			return errUsage
		}
		return runWith(ctx, *ceph, *commit, fs.Args(), log, stdout, stderr)
	}
	return errUsage
}

func orBeside(ceph, dir string) string {
	if ceph != "" {
		return ceph
	}
	return filepath.Clean(dir) + "-ceph"
}

func up(ctx context.Context, dir, cephDir string, commit time.Duration, log *slog.Logger, stdout io.Writer) error {
	l, err := openstacklab.Open(dir)
	switch {
	case err == nil:
		explain(stdout, l)
		return nil
	case errors.Is(err, openstacklab.ErrNotRunning), errors.Is(err, cephlab.ErrNotRunning):
		return fmt.Errorf("%w\nhint: it did not survive; remove it first: openstacklab down -dir %s", err, dir)
	}
	ceph, err := cephlab.Open(cephDir)
	own := errors.Is(err, os.ErrNotExist)
	if own {
		ceph, err = cephlab.Start(ctx, cephlab.Options{Dir: cephDir, Detached: true, CommitInterval: commit})
	}
	if err != nil {
		return err
	}
	l, err = openstacklab.Start(ctx, openstacklab.Options{Dir: dir, Ceph: ceph, Detached: true, Log: log})
	if err != nil && own {
		err = errors.Join(err, cephlab.Remove(cephDir)) // else nobody would know that it runs
	}
	if err != nil {
		return err
	}
	explain(stdout, l)
	return nil
}

func down(ctx context.Context, dir, cephDir string) error {
	err := openstacklab.Remove(ctx, dir)
	if e := cephlab.Remove(cephDir); !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}

// runWith keeps the labs for the life of one program. The program gets the
// signals of the terminal itself, and time to end.
func runWith(ctx context.Context, cephDir string, commit time.Duration, args []string, log *slog.Logger, stdout, stderr io.Writer) (err error) {
	var ceph *cephlab.Lab
	if cephDir != "" {
		ceph, err = cephlab.Open(cephDir)
	} else {
		ceph, err = cephlab.Start(ctx, cephlab.Options{CommitInterval: commit})
	}
	if err != nil {
		return err
	}
	if cephDir == "" {
		defer func() { err = errors.Join(err, ceph.Stop()) }()
	}
	l, err := openstacklab.Start(ctx, openstacklab.Options{Ceph: ceph, Log: log})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), orderTime)
		defer cancel()
		err = errors.Join(err, l.Stop(ctx))
	}()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr
	cmd.Env = append(os.Environ(), cephlab.Env+"="+ceph.Dir, openstacklab.Variable+"="+l.Dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		return programStatus(max(1, exit.ExitCode()))
	} else if err != nil {
		return fmt.Errorf("run %s: %w", args[0], err)
	}
	return nil
}

func explain(w io.Writer, l *openstacklab.Lab) {
	var exports strings.Builder
	for _, kv := range l.Env() {
		k, v, _ := strings.Cut(kv, "=")
		fmt.Fprintf(&exports, "export %s='%s'\n", k, v)
	}
	p := l.Pools()
	fmt.Fprintf(w, `OpenStack runs in %s.

%sexport CEPH_CONF=%s %s=%s %s=%s

  /usr/bin/openstack server list   as admin; "demo" and, in the domain research, "alice" have the same password
  rbd ls %s                        servers' disks (guarded); volumes: %s (guarded); images: %s
  broker: %s
  logs: %s/log

Stop it with: make openstack-down
`, l.Dir, &exports, l.Ceph.Conf, cephlab.Env, l.Ceph.Dir, openstacklab.Variable, l.Dir, p.VMs, p.Volumes, p.Images, l.BrokerURL(), l.Dir)
}
