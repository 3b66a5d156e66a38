package cephlab

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gone waits until a process is no daemon of the lab any more, and its
// directory is away.
func gone(t *testing.T, dir string, pids []int) {
	t.Helper()
	l := &Lab{Dir: dir, Conf: filepath.Join(dir, "ceph.conf")}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(stopTimeout); ; <-tick.C {
		_, err := os.Stat(dir)
		left := err == nil
		for _, pid := range pids {
			left = left || l.owns(pid)
		}
		if !left {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("of the lab in %s something is left", dir)
		}
	}
}

// pids returns the daemons' processes.
func pids(t *testing.T, l *Lab) []int {
	t.Helper()
	var all []int
	for _, d := range daemons {
		pid, ok := l.pid(d)
		if !ok {
			t.Fatalf("%s does not run in %s", d, l.Dir)
		}
		all = append(all, pid)
	}
	return all
}

// Two labs start at once, beside a third, and do not disturb each other. One
// whose owner is killed leaves nothing; one that is stopped neither. A lab that
// is not whole cannot be opened.
func TestLabsComeAndGo(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	owned := filepath.Join(t.TempDir(), "owned")
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), ownerEnv+"="+owned)
	owner.Stderr = os.Stderr
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	own, err := Start(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a lab started in %s, with another one beside it", time.Since(start))
	t.Cleanup(func() {
		if err := own.Stop(); err != nil {
			t.Error(err)
		}
	})
	fsid, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the owner of the other lab ended: %v", err)
	}
	other, err := Open(owned)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(fsid) != other.FSID || other.FSID == own.FSID {
		t.Errorf("the labs are %s and %s, opened is %s", own.FSID, fsid, other.FSID)
	}
	for _, l := range []*Lab{own, other, Shared(t)} {
		must(t, ctx, l)(Cloud, "ls", "vms")
	}

	// The owner dies, with a daemon that does not even take a signal.
	left := pids(t, other)
	if err := other.Pause("osd"); err != nil {
		t.Fatal(err)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := owner.Wait(); err == nil {
		t.Error("the owner ended well")
	}
	gone(t, owned, left)
	if _, err := Open(owned); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a lab that is gone is opened with %v", err)
	}

	// The others serve on.
	for _, l := range []*Lab{own, Shared(t)} {
		must(t, ctx, l)(Cloud, "ls", "vms")
	}
	if _, err := Open(own.Dir); err != nil {
		t.Error(err)
	}
	if _, err := Start(ctx, Options{Dir: own.Dir}); err == nil {
		t.Error("a second lab starts in the same directory")
	}
	left = pids(t, own)
	if err := own.kill(left[:1]); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(own.Dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a lab with a dead daemon is opened with %v", err)
	}
	if err := Remove(own.Dir); err != nil {
		t.Error(err)
	}
	gone(t, own.Dir, left)
	if err := Remove(own.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a lab that is gone is removed with %v", err)
	}
	for range 2 { // the owner's turn: there is nothing left to stop
		if err := own.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// A process that has the number of a daemon that is gone is not touched.
func TestAStrangersProcessIsLeftAlone(t *testing.T) {
	t.Parallel()
	stranger := exec.Command("sleep", "600")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stranger.Process.Kill(); err != nil {
			t.Error(err)
		}
		var exit *exec.ExitError
		if err := stranger.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Errorf("the stranger ended with %v", err)
		}
	})
	dir := t.TempDir()
	l := &Lab{Dir: dir, Conf: filepath.Join(dir, "ceph.conf"), FSID: newUUID()}
	if err := os.MkdirAll(filepath.Join(dir, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.pidFile("osd"), []byte(strconv.Itoa(stranger.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Pause("osd"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v, want that it does not run", err)
	}
	if err := l.killAll(); err != nil {
		t.Error(err)
	}
	if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the stranger is gone: %v", err)
	}
}

// The monitor commits as often as was asked, and a message to the OSD takes as long,
// which measurements rest on.
func TestCommitIntervalAndDelay(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l, err := Start(ctx, Options{Pools: []string{"vms"}, CommitInterval: 300 * time.Millisecond, Delay: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	out, err := l.Ceph(ctx, "tell", "mon.a", "config", "get", "paxos_propose_interval")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, `"0.300000"`) {
		t.Errorf("the monitor says %s", out)
	}

	// Some thirty writes, one after the other, take 100 ms each in the middle, give or
	// take 10 ms; this Ceph's own take a hundredth of that.
	out, err = l.Rados(ctx, Admin, "-p", "vms", "bench", "3", "write", "-t", "1", "-b", "4096")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(out, "Average Latency(s):")
	words := strings.Fields(rest)
	if len(words) == 0 {
		t.Fatalf("rados bench says %s", out)
	}
	if latency, err := strconv.ParseFloat(words[0], 64); err != nil || latency < 0.05 {
		t.Errorf("a write takes %s s (%v):\n%s", words[0], err, out)
	}
}
