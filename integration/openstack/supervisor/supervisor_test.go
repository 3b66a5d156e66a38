//go:build openstack

package supervisor

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// configVariable makes the test binary a supervisor.
const configVariable = "SUPERVISOR_TEST_CONFIG"

func TestMain(m *testing.M) {
	if file := os.Getenv(configVariable); file != "" {
		if err := Run(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// started is a supervisor in a namespace of its own.
type started struct {
	*Client
	t      *testing.T
	ctx    context.Context
	config Config
	cmd    *exec.Cmd
	pipe   io.Closer
}

// start starts a supervisor that lays an own directory over /mnt.
func start(t *testing.T, change func(*Config)) started {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	dir := filepath.Join(t.TempDir(), "lab")
	over := filepath.Join(dir, "over")
	if err := os.MkdirAll(over, 0o700); err != nil {
		t.Fatal(err)
	}
	c := Config{Dir: dir, Socket: filepath.Join(dir, "s"), Mounts: []Mount{{Source: over, Target: "/mnt"}}}
	if change != nil {
		change(&c)
	}
	file := filepath.Join(t.TempDir(), "config")
	if err := c.Write(file); err != nil {
		t.Fatal(err)
	}
	s := started{Client: NewClient(c.Socket), t: t, ctx: ctx, config: c, cmd: exec.CommandContext(ctx, os.Args[0])}
	s.cmd.Env = append(os.Environ(), configVariable+"="+file)
	s.cmd.Stderr = os.Stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	var err error
	if s.pipe, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.until("the supervisor takes orders", func() bool { _, err := s.Running(ctx); return err == nil })
	return s
}

// until waits for a condition.
func (s started) until(what string, ok func() bool) {
	s.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-s.ctx.Done():
			s.t.Fatalf("not yet: %s", what)
		case <-tick.C:
		}
	}
}

// shell is a program that is a shell script.
func (s started) shell(name, script string) Spec {
	return Spec{Name: name, Args: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Output: filepath.Join(s.config.Dir, name+".out")}
}

func (s started) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// running counts the processes of the machine that have the word among their
// arguments.
func (s started) running(word string) int {
	s.t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	s.must(err)
	n := 0
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && strings.Contains("\x00"+string(b), "\x00"+word+"\x00") {
			n++
		}
	}
	return n
}

// What is mounted in the namespace is not on the machine, a program's end and
// status are known, a program that goes to the background outlives the stop of
// the one that started it, and everything ends with the supervisor, whose
// input ends.
func TestEverythingEndsWithItsOwner(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.must(s.Run(s.ctx, s.shell("mark", "echo inside >/mnt/mark")))
	if b, err := os.ReadFile(filepath.Join(s.config.Dir, "over", "mark")); err != nil || string(b) != "inside\n" {
		t.Errorf("what was written to /mnt is %q, %v", b, err)
	}
	if _, err := os.Stat("/mnt/mark"); err == nil {
		t.Error("the mount is on the machine, too")
	}
	if err := s.Run(s.ctx, s.shell("fails", "exit 3")); err == nil || !strings.Contains(err.Error(), "status 3") {
		t.Errorf("a program that fails: %v", err)
	}
	s.must(s.Start(s.ctx, s.shell("stays", "setsid -f sleep 98701; sleep 98702; true")))
	s.must(s.Start(s.ctx, s.shell("stays", "sleep 98702"))) // runs already
	s.until("both sleep", func() bool { return s.running("98701") == 1 && s.running("98702") == 1 })
	s.must(s.Stop(s.ctx, "stays", syscall.SIGTERM, time.Minute))
	if n, m := s.running("98701"), s.running("98702"); n != 1 || m != 0 {
		t.Errorf("after the stop %d of the background and %d of its own processes run, want 1 and 0", n, m)
	}
	names, err := s.Client.Running(s.ctx)
	s.must(err)
	if len(names) != 0 {
		t.Errorf("after the stop these run: %v", names)
	}
	s.must(s.pipe.Close())
	s.must(s.cmd.Wait())
	if s.running("98701") != 0 {
		t.Error("the process in the background is still there")
	}
	if _, err := os.Stat(s.config.Dir); !os.IsNotExist(err) {
		t.Errorf("the directory: %v", err)
	}
}

// One that ignores the signal is killed after the grace time; a detached
// supervisor stays when its input ends, and ends when it is told to, keeping
// the directory if it must.
func TestDetachedEndsWhenTold(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Detached, c.Keep = true, true })
	s.must(s.pipe.Close())
	s.must(s.Start(s.ctx, s.shell("deaf", "trap '' TERM; echo ready; while :; do sleep 0.05; done")))
	s.until("the program is deaf", func() bool {
		b, _ := os.ReadFile(filepath.Join(s.config.Dir, "deaf.out"))
		return len(b) > 0
	})
	s.must(s.Stop(s.ctx, "deaf", syscall.SIGTERM, 50*time.Millisecond))
	s.must(s.Stop(s.ctx, "deaf", syscall.SIGTERM, time.Minute)) // not there: fine
	if err := s.Signal(s.ctx, "deaf", syscall.SIGSTOP); err == nil {
		t.Error("what does not run takes a signal")
	}
	s.must(s.End(s.ctx))
	s.must(s.cmd.Wait())
	if _, err := os.Stat(s.config.Dir); err != nil {
		t.Errorf("the directory that is to be kept: %v", err)
	}
}
