package cephlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// daemons in the order in which they are stopped.
var daemons = []string{"mgr", "osd", "mon"}

// stopTimeout is how long killed daemons may take to be gone.
const stopTimeout = 20 * time.Second

// ErrNotRunning says that a daemon of the lab is not there.
var ErrNotRunning = errors.New("daemon does not run")

// Pause stops a daemon (mon, mgr, osd) with SIGSTOP: whoever waits for it
// hangs. It returns when all of the daemon's threads have stopped.
func (l *Lab) Pause(daemon string) error {
	if err := l.signal(daemon, syscall.SIGSTOP); err != nil {
		return err
	}
	for deadline := time.Now().Add(stopTimeout); ; time.Sleep(time.Millisecond) {
		pid, ok := l.pid(daemon)
		if !ok {
			return fmt.Errorf("pause %s: %w", daemon, ErrNotRunning)
		}
		if stopped(pid) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("pause %s: it still runs after %s", daemon, stopTimeout)
		}
	}
}

// stopped reports whether all threads of the process are stopped.
func stopped(pid int) bool {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(stats) == 0 {
		return false
	}
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		// The state follows the name, which is in parentheses and may contain
		// others.
		_, state, ok := strings.Cut(string(b[bytes.LastIndexByte(b, ')')+1:]), " ")
		if !ok || !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// Resume lets a paused daemon go on.
func (l *Lab) Resume(daemon string) error { return l.signal(daemon, syscall.SIGCONT) }

// Restart kills a daemon (mon, mgr, osd) as a crash does, and starts it again.
// It returns when the daemon runs, which is before it serves.
func (l *Lab) Restart(ctx context.Context, daemon string) error {
	pid, ok := l.pid(daemon)
	if !ok {
		return fmt.Errorf("restart %s: %w", daemon, ErrNotRunning)
	}
	if err := l.kill([]int{pid}); err != nil {
		return fmt.Errorf("restart %s: %w", daemon, err)
	}
	return l.launch(ctx, daemon)
}

// ids are the names of the lab's daemons within their kind.
var ids = map[string]string{"mon": "a", "mgr": "x", "osd": "0"}

// launch starts a daemon, which goes to the background when it runs.
func (l *Lab) launch(ctx context.Context, daemon string) error {
	_, err := l.run(ctx, "ceph-"+daemon, "-c", l.Conf, "-i", ids[daemon], "--pid-file", l.pidFile(daemon))
	return err
}

func (l *Lab) signal(daemon string, s syscall.Signal) error {
	pid, ok := l.pid(daemon)
	if !ok {
		return fmt.Errorf("send %s to %s: %w", s, daemon, ErrNotRunning)
	}
	if err := syscall.Kill(pid, s); err != nil {
		return fmt.Errorf("send %s to %s: %w", s, daemon, err)
	}
	return nil
}

func (l *Lab) pidFile(daemon string) string { return filepath.Join(l.Dir, "run", daemon+".pid") }

// pid returns the daemon's process, if it runs. The command line is compared,
// so that another process that has the number now is left alone.
func (l *Lab) pid(daemon string) (int, bool) {
	b, err := os.ReadFile(l.pidFile(daemon))
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 {
		return 0, false
	}
	return pid, l.owns(pid)
}

// owns reports whether the process is alive and is a daemon of this lab. A
// zombie has no command line, hence counts as gone.
func (l *Lab) owns(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	for _, arg := range bytes.Split(b, []byte{0}) {
		if string(arg) == l.Conf {
			return true
		}
	}
	return false
}

// killAll ends the daemons.
func (l *Lab) killAll() error {
	var pids []int
	for _, d := range daemons {
		if pid, ok := l.pid(d); ok {
			pids = append(pids, pid)
		}
	}
	return l.kill(pids)
}

// kill ends daemons and waits for their end. SIGKILL: nothing in a lab is
// worth the seconds of an orderly end, and a paused daemon obeys it too.
func (l *Lab) kill(pids []int) error {
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("kill process %d: %w", pid, err))
		}
	}
	for deadline := time.Now().Add(stopTimeout); ; time.Sleep(5 * time.Millisecond) {
		left := 0
		for _, pid := range pids {
			if l.owns(pid) {
				left++
			}
		}
		if left == 0 {
			return errors.Join(errs...)
		}
		if time.Now().After(deadline) {
			return errors.Join(append(errs, fmt.Errorf("%d daemons of %s still run after %s", left, l.Dir, stopTimeout))...)
		}
	}
}
