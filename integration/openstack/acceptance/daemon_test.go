//go:build openstack

package acceptance

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// daemon is a running quarantined.
type daemon struct {
	cmd  *exec.Cmd
	addr string
	done chan struct{} // closed when it has ended

	mu  sync.Mutex
	log bytes.Buffer
}

var serving = regexp.MustCompile(`msg=serving .*addr=(\S+)`)

// start configures and starts the daemon, and returns when it is ready.
func (s *site) start(t *testing.T, o options) {
	t.Helper()
	s.configure(t, o)
	cmd := exec.Command(filepath.Join(s.bin, "quarantined"), "--config", s.path("quarantined.yaml"))
	cmd.Env = append(os.Environ(), s.lab.Env()...)
	// Should this process die, the daemon goes with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	must(t, err)
	d := &daemon{cmd: cmd, done: make(chan struct{})}
	must(t, cmd.Start())
	s.daemon = d
	addr := make(chan string, 1)
	go func() {
		defer close(d.done)
		d.read(stderr, addr)
		_ = cmd.Wait() // the status is read from ProcessState
	}()
	select {
	case d.addr = <-addr:
	case <-d.done:
		t.Fatalf("the daemon ended: %s\n%s", cmd.ProcessState, d.tail(60))
	case <-time.After(2 * time.Minute):
		t.Fatalf("the daemon does not serve:\n%s", d.tail(60))
	}
	for deadline := time.Now().Add(2 * time.Minute); ; wait(t) {
		out := s.mustCtl(t, "status", "-o", "json")
		if in(out, `"ready": true`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the daemon is not ready:\n%s\n%s", out, d.tail(60))
		}
	}
}

func (d *daemon) read(r io.Reader, addr chan<- string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		d.mu.Lock()
		d.log.WriteString(lines.Text() + "\n")
		d.mu.Unlock()
		if m := serving.FindStringSubmatch(lines.Text()); m != nil {
			addr <- m[1]
		}
	}
}

// text is all that the daemon has logged.
func (d *daemon) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

func (d *daemon) tail(n int) string {
	lines := strings.Split(strings.TrimSpace(d.text()), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (d *daemon) alive() bool {
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

// end sends the signal and waits for the end.
func (d *daemon) end(sig os.Signal) error {
	if !d.alive() {
		return nil
	}
	if err := d.cmd.Process.Signal(sig); err != nil {
		return err
	}
	select {
	case <-d.done:
	case <-time.After(2 * time.Minute):
		return fmt.Errorf("it does not end:\n%s", d.tail(60))
	}
	if code := d.cmd.ProcessState.ExitCode(); sig != os.Kill && code != 0 {
		return fmt.Errorf("it ended with %d:\n%s", code, d.tail(60))
	}
	return nil
}

// stop stops the daemon in order.
func (s *site) stop(t *testing.T) {
	t.Helper()
	must(t, s.daemon.end(syscall.SIGTERM))
}

// kill ends it as a crash does.
func (s *site) kill(t *testing.T) {
	t.Helper()
	must(t, s.daemon.end(os.Kill))
}
