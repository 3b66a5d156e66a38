package frontend_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for tick := time.NewTicker(5 * time.Millisecond); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it never came to it: %s", what)
		}
	}
}

// kill ends the script at once, and it alone: what it has started goes on.
func (r *running) kill() {
	r.t.Helper()
	if err := r.Process.Signal(syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
	_ = r.Wait()
}

// A daemon that never answers costs a hook its time limit; the message waits.
// The same where something that is no daemon answers.
func TestHookTimeLimit(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		// Enough for a busy machine to come to the request.
		w.configure("HOOK_LIMIT", "5")
		came, gone, _ := w.daemon.hold(t)
		ended(t, w.hook("message"), 0, "timed out")
		equal(t, "asked", receive(t, came, "request"), "message")
		equal(t, "hung up", receive(t, gone, "end of the connection"), "message")
		equalAll(t, "waits", w.waits(), "message")

		// The limit is for all that a hook does: of a daemon that needs 2 s for
		// a message it does not wait for the second.
		w.configure("HOOK_LIMIT", "3")
		for i := range 3 {
			w.write(fmt.Sprintf("spool/170000000000000000%d-x.hook", i), 0o600, "older")
		}
		w.daemon.answer(func(r *http.Request, body string) (int, string) {
			select {
			case <-time.After(2 * time.Second):
			case <-r.Context().Done():
			}
			return accepted(r, body)
		})
		if got := w.hook("another"); got.code != 0 || !strings.Contains(got.stderr, "messages wait") {
			t.Errorf("%d: %s", got.code, got.stderr)
		}
		if n := len(w.waits()); n < 4 {
			t.Errorf("only %d messages wait", n)
		}
	})
}

func TestHookRubbish(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		for _, rubbish := range []string{"", "rubbish\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "HTTP/1.1 999999 OK\r\n\r\n"} {
			w.configure("URL", "http://"+serve(t, rubbish))
			if got := w.hook("message"); got.code != 0 || !strings.Contains(got.stderr, "no answer: curl: ") {
				t.Errorf("%q: %d, %s", rubbish, got.code, got.stderr)
			}
		}
		equal(t, "waits", len(w.waits()), 4)
	})
}

// serve answers every connection with the same, and hangs up.
func serve(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, answer)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// While one hook sends the others do not wait for the daemon; what they leave
// the first one finds when it looks again.
func TestHookLooksAgain(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		came, _, release := w.daemon.hold(t)
		first := w.start(strings.NewReader("first"), "hook")
		receive(t, came, "request")
		ended(t, w.hook("second"), 0)
		ended(t, w.hook("third"), 0)
		ended(t, w.hook("", "--drain"), 0)
		equalAll(t, "left", w.entrusted(), "second", "third")
		if first.ProcessState != nil {
			t.Error("the first has ended")
		}
		release()
		ended(t, first.end(), 0)
		equalAll(t, "received", w.daemon.bodies(), "first", "second", "third")
		equalAll(t, "waits", w.waits())
		equalAll(t, "unfinished", w.unfinished())
	})
}

// A hook that is killed while it sends loses nothing: neither its own message,
// nor what waits. Its lock goes with it, although curl lives on.
func TestHookKilled(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		// Its own message, which waits for nothing.
		came, _, release := w.daemon.hold(t)
		first := w.start(strings.NewReader("first"), "hook")
		receive(t, came, "request")
		first.kill()
		equal(t, "unfinished", len(w.unfinished()), 1)
		// The older ones.
		w.configure("URL", nobody)
		ended(t, w.hook("second"), 0, "2 messages wait")
		ended(t, w.hook("third"), 0, "3 messages wait")
		w.configure("URL", w.daemon.URL)
		drain := w.start(nil, "hook", "--drain")
		equal(t, "asked", receive(t, came, "request"), "first")
		drain.kill()
		equalAll(t, "waits", w.waits(), "first", "second", "third")
		w.daemon.answer(accepted)
		ended(t, w.hook("fourth"), 0)
		release()
		bodies := w.daemon.bodies()
		equalAll(t, "received", bodies[len(bodies)-4:], "first", "second", "third", "fourth")
		equalAll(t, "waits", w.waits())
		equalAll(t, "unfinished", w.unfinished())
	})
}

// Of a hook that is killed while it reads, what it has read is not taken for a
// message of the usual kind before its writer is gone; then the daemon judges.
func TestHookKilledWhileReading(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		reading := w.start(in, "hook")
		in.Close()
		if _, err := out.WriteString("half"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the half is written", func() bool {
			names := w.unfinished()
			if len(names) != 1 {
				return false
			}
			b, err := os.ReadFile(names[0])
			return err == nil && string(b) == "half"
		})
		ended(t, w.hook("whole"), 0)
		equalAll(t, "received", w.daemon.bodies(), "whole")
		equal(t, "unfinished", len(w.unfinished()), 1)

		reading.kill()
		w.daemon.always(400, "it ends too early")
		ended(t, w.hook("", "--drain"), 0, "put aside")
		equalAll(t, "refused", w.refused(), "half")
		equalAll(t, "unfinished", w.unfinished())
	})
}

// The token is in no process's arguments or environment, neither of the hook
// nor of the driver, while the daemon has the request with it.
func TestTokenIsNotShown(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		w.install()
		for _, script := range []string{"hook", tmDelete} {
			came, _, release := w.daemon.hold(t)
			r := w.start(strings.NewReader("message"), script, "host:/ds/1/disk.0", "1", "2")
			receive(t, came, "request")
			curl := false
			for pid, text := range processes(t) {
				// The driver's and the tests' own arguments have none either.
				if strings.Contains(text, token) {
					t.Errorf("process %d shows it: %q", pid, text)
				}
				curl = curl || strings.Contains(text, w.daemon.URL)
			}
			if !curl {
				t.Error("curl was not seen: nothing is proven")
			}
			release()
			equal(t, "exit status", r.end().code, 0)
		}
		for _, r := range w.daemon.requests() {
			equal(t, "authorization", r.auth, "Bearer "+token)
		}
	})
}

// processes returns the arguments and environment of all processes.
func processes(t *testing.T) map[int]string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]string{}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"cmdline", "environ"} {
			b, _ := os.ReadFile(filepath.Join(dir, file)) // it may be gone
			out[pid] += string(b) + "\n"
		}
	}
	return out
}

// Without flock nothing can be sent in order, without curl nothing at all; the
// message is kept, and it is said why it waits.
func TestHookMissingCommands(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		full, bin := w.path, filepath.Join(w.dir, "few")
		w.path = bin
		for _, c := range []string{"cat", "date", "mkdir", "mv", "rm", "tr"} {
			w.link(w.command(c), "few/"+c)
		}
		ended(t, w.hook("first"), 0, "flock", "cannot lock", "1 messages wait")
		ended(t, w.hook("", "--drain"), 1, "cannot lock")
		w.link(find(t, "flock"), "few/flock")
		ended(t, w.hook("second"), 0, "2 messages wait", "curl: not found")
		w.path = full
		ended(t, w.hook("third"), 0)
		equalAll(t, "received", w.daemon.bodies(), "first", "second", "third")
	})
}

// The usual case, in which nothing else waits and the daemon is there, is cheap:
// four processes beside the shell, of which curl costs most.
func TestHookFewProcesses(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		ended(t, w.hook("first"), 0) // makes the spool
		w.count("cat", "curl", "flock", "rm")
		w.write("spool/.sender", 0o600, "- 1\n") // the last hook ended long ago
		ended(t, w.hook("second"), 0)
		equal(t, "started", w.left("started"), "cat\nflock\ncurl\nrm\n")
		equalAll(t, "received", w.daemon.bodies(), "first", "second")
	})
}
