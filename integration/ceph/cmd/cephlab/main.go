// Command cephlab starts and stops a lab Ceph for hand work: see package
// cephlab.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	cephlab "quarantine/integration/ceph"
)

const usage = `usage: cephlab COMMAND [-dir DIR]

  up    start a lab that stays until "down"
  down  stop it
  env   print how to use it
  run   [-commit DURATION] -- PROGRAM ARG…
        start a lab, run the program with its directory in QUARANTINE_LAB,
        stop the lab, and end with the program's status
`

var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := command(ctx, args, stdout, stderr)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage), errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stderr, usage)
		return 2
	case errors.As(err, &exit):
		return max(1, exit.ExitCode())
	}
	fmt.Fprintln(stderr, "error:", err)
	return 1
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	fs := flag.NewFlagSet("cephlab", flag.ContinueOnError)
	fs.SetOutput(stderr)
	dir := fs.String("dir", filepath.Join(os.TempDir(), fmt.Sprintf("quarantine-lab-%d", os.Getuid())), "the lab's directory")
	commit := fs.Duration("commit", 0, "the monitor's commit interval (0: Ceph's own, 1 s)")
	if err := fs.Parse(args[1:]); err != nil {
		return errUsage
	}
	switch args[0] {
	case "up":
		return up(ctx, *dir, *commit, stdout)
	case "down":
		return cephlab.Remove(*dir)
	case "env":
		l, err := cephlab.Open(*dir)
		if err != nil {
			return err
		}
		explain(stdout, l)
		return nil
	case "run":
		if fs.NArg() == 0 {
			return errUsage
		}
		return runWith(ctx, *commit, fs.Args(), stdout, stderr)
	}
	return errUsage
}

func up(ctx context.Context, dir string, commit time.Duration, stdout io.Writer) error {
	l, err := cephlab.Open(dir)
	switch {
	case err == nil:
		explain(stdout, l)
		return nil
	case errors.Is(err, cephlab.ErrNotRunning):
		return fmt.Errorf("%w\nhint: it did not survive; remove it first: cephlab down -dir %s", err, dir)
	}
	l, err = cephlab.Start(ctx, cephlab.Options{Dir: dir, Detached: true, CommitInterval: commit})
	if err != nil {
		return err
	}
	explain(stdout, l)
	return nil
}

// runWith keeps the lab for the life of one program. The program gets the
// signals of the terminal itself, and time to end.
func runWith(ctx context.Context, commit time.Duration, args []string, stdout, stderr io.Writer) (err error) {
	l, err := cephlab.Start(ctx, cephlab.Options{CommitInterval: commit})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Stop()) }()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr
	cmd.Env = append(os.Environ(), "QUARANTINE_LAB="+l.Dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd.Run()
}

func explain(w io.Writer, l *cephlab.Lab) {
	fmt.Fprintf(w, `Ceph %s runs in %s.

export CEPH_CONF=%s QUARANTINE_LAB=%s

  ceph -s                             as client.admin
  rbd --id openstack ls vms           as the cloud
  rbd --id openstack-classic ls vms   as a cloud that can switch the guard off
  rbd --id quarantine ls vms          as this service

Keyrings: %s
Stop it with: make lab-down
`, l.FSID, l.Dir, l.Conf, l.Dir, filepath.Join(l.Dir, "keyrings"))
}
