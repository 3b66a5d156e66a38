package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"quarantine/internal/api/client"
)

// The environment of a test binary that plays the daemon.
const (
	envDaemon = "QUARANTINED_TEST_DAEMON" // "1": be the daemon
	envKillAt = "QUARANTINED_TEST_KILL_AT"
	envClock  = "QUARANTINED_TEST_CLOCK"  // a file: seconds to add to the clock
	envPoints = "QUARANTINED_TEST_POINTS" // a file: the fault points that were passed
)

// TestMain lets the test binary play the daemon, so that tests can kill a real
// process and start it again.
func TestMain(m *testing.M) {
	if os.Getenv(envDaemon) == "" {
		os.Exit(m.Run())
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends when the test does
		os.Exit(1)
	}()
	s := seams{clock: shiftedClock(os.Getenv(envClock))}
	if path := os.Getenv(envPoints); path != "" {
		s.steps = newKiller(path, os.Getenv(envKillAt)).step
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr, s))
}

// shiftedClock is the machine's clock and what the file says.
func shiftedClock(path string) func() time.Time {
	return func() time.Time {
		now := time.Now()
		b, err := os.ReadFile(path)
		if err != nil {
			return now
		}
		seconds, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			return now
		}
		return now.Add(time.Duration(seconds) * time.Second)
	}
}

// killer kills its own process with SIGKILL at one of the fault points that
// come after SIGUSR1: what is passed while the daemon starts does not count.
type killer struct {
	armed atomic.Bool
	at    int

	mu   sync.Mutex
	n    int
	file *os.File
}

func newKiller(path, at string) *killer {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	n, err := strconv.Atoi(at)
	if err != nil {
		panic(err)
	}
	k := &killer{at: n, file: f}
	arm := make(chan os.Signal, 1)
	signal.Notify(arm, syscall.SIGUSR1)
	go func() {
		<-arm
		k.armed.Store(true)
		fmt.Fprintln(os.Stderr, "armed")
	}()
	return k
}

func (k *killer) step(point string) error {
	if !k.armed.Load() {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.n++
	fmt.Fprintln(k.file, point)
	if k.n == k.at {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until it comes
	}
	return nil
}

// process is a running daemon.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   *logBuffer
	done  chan struct{}
	addr  string
	ended bool // the test has ended it
	*client.Client
}

// logBuffer keeps a process's standard error and tells of each line.
type logBuffer struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	lines chan string
}

func (b *logBuffer) read(r io.Reader) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		b.mu.Lock()
		b.buf.WriteString(sc.Text() + "\n")
		b.mu.Unlock()
		select {
		case b.lines <- sc.Text():
		default:
		}
	}
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

var servingLine = regexp.MustCompile(`msg=serving .*addr=(\S+)`)

// start starts the daemon over the site's configuration and returns when it is
// ready.
func (s *site) start(env ...string) *process {
	s.t.Helper()
	p := s.launch(env...)
	p.waitReady()
	return p
}

// launch starts the daemon and returns when it serves.
func (s *site) launch(env ...string) *process {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(self, "--config", s.configPath)
	cmd.Env = append(append(os.Environ(), envDaemon+"=1", envClock+"="+s.clockPath), env...)
	// Its end, when this process dies in any way, ends the daemon.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	p := &process{t: s.t, cmd: cmd, log: &logBuffer{lines: make(chan string, 1000)}, done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.log.read(stderr)
		_ = cmd.Wait() // the status is read from ProcessState
	}()
	s.t.Cleanup(func() {
		byItself := p.died(0) && !p.ended
		_ = cmd.Process.Kill() // it may be gone
		<-p.done
		_ = stdin.Close() // closed by Wait
		if s.t.Failed() {
			s.t.Logf("a daemon (%s; it ended by itself: %v) had logged:\n%s", cmd.ProcessState, byItself, p.log.lastWords(byItself))
		}
	})
	for p.addr == "" {
		select {
		case line := <-p.log.lines:
			if m := servingLine.FindStringSubmatch(line); m != nil {
				p.addr = m[1]
			}
		case <-p.done:
			s.t.Fatalf("the daemon ended: %s\n%s", cmd.ProcessState, p.log)
		case <-time.After(time.Minute):
			s.t.Fatalf("the daemon does not serve:\n%s", p.log)
		}
	}
	p.Client, err = client.New(client.Config{Server: "http://" + p.addr, Token: adminToken, AnswerTimeout: time.Minute})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(p.Client.Close)
	return p
}

func (p *process) waitReady() {
	p.t.Helper()
	eventually(p.t, "the daemon is ready", func() error {
		st, err := p.Status(p.t.Context())
		if err != nil {
			return err
		}
		if !st.Ready {
			return fmt.Errorf("not ready: %q", st.Reasons)
		}
		return nil
	})
}

// arm lets fault points count from now on.
func (p *process) arm() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		p.t.Fatal(err)
	}
	eventually(p.t, "the daemon is armed", func() error {
		if !strings.Contains(p.log.String(), "armed\n") {
			return errors.New("no word of it")
		}
		return nil
	})
}

// died reports whether the process ends in that time.
func (p *process) died(within time.Duration) bool {
	select {
	case <-p.done:
		return true
	default:
	}
	select {
	case <-p.done:
		return true
	case <-time.After(within):
		return false
	}
}

// kill ends the process as a crash does.
func (p *process) kill() {
	p.t.Helper()
	p.ended = !p.died(0)
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatalf("kill the daemon: %v; it had ended: %s", err, p.cmd.ProcessState)
	}
	<-p.done
}

// stop ends the process in order and checks that it ended well.
func (p *process) stop() {
	p.t.Helper()
	p.ended = !p.died(0)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(2 * time.Minute):
		p.t.Fatalf("the daemon does not stop:\n%s", p.log)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Fatalf("the daemon ended with %d:\n%s", code, p.log)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, cond func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := cond()
		if err == nil {
			return
		}
		if t.Context().Err() != nil || time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// lastWords are what a daemon said at its end outside the log, first, and the last
// lines of the log: of one that ended by itself more. Who reads a long test's output
// may see only its beginning.
func (b *logBuffer) lastWords(byItself bool) string {
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	end := len(lines)
	for end > 0 && !strings.HasPrefix(lines[end-1], "time=") {
		end--
	}
	logged := 3
	if byItself {
		logged = 20
	}
	words := append(slices.Clone(lines[end:min(len(lines), end+100)]), lines[max(0, end-logged):end]...)
	return strings.Join(words, "\n")
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Clean(path), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
