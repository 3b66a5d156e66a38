package frontend_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// entrusted returns the messages that hooks have left to one that sends, in the
// order in which they were written.
func (w *world) entrusted() (out []string) {
	w.t.Helper()
	names, err := filepath.Glob(filepath.Join(w.spool, ".new.*.whole"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(strings.TrimSuffix(name, ".whole"))
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

// count has every process of the commands written down, and nothing else found
// but what is counted.
func (w *world) count(commands ...string) {
	w.t.Helper()
	for _, c := range commands {
		at := find(w.t, c)
		w.write("counted/"+c, 0o755, "#!/bin/sh\necho "+c+" >>\"$OUT/started\"\nexec "+at+" \"$@\"\n")
	}
	w.path = filepath.Join(w.dir, "counted")
}

// started returns how often a command was started.
func (w *world) started(command string) int {
	w.t.Helper()
	n := 0
	for line := range strings.Lines(w.left("started")) {
		if line == command+"\n" {
			n++
		}
	}
	return n
}

// During a burst one hook sends what the others have: they start nothing but
// cat, it starts one curl for many, and all comes in order, each once.
func TestHooksShareCurl(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		ended(t, w.hook("zeroth"), 0) // makes the spool
		w.write("spool/.sender", 0o600, "- 1\n")
		w.count("cat", "curl", "flock", "rm", "sleep")
		came, _, release := w.daemon.hold(t)
		first := w.start(strings.NewReader("first"), "hook")
		receive(t, came, "request")
		want := []string{"zeroth", "first"}
		const n = 20
		for i := range n {
			m := fmt.Sprint("message ", i)
			want = append(want, m)
			ended(t, w.hook(m), 0)
		}
		equalAll(t, "left", w.entrusted(), want[2:]...)
		equal(t, "locks taken", w.started("flock"), 1)
		release()
		ended(t, first.end(), 0)
		equalAll(t, "received", w.daemon.bodies(), want...)
		equalAll(t, "unfinished", w.unfinished())
		equal(t, "processes of curl", w.started("curl"), 3) // its own, sixteen, and four
		equal(t, "processes of cat", w.started("cat"), 1+n)
	})
}

// A hook that comes just behind another one stays for a second, and sends what
// comes meanwhile; one that comes after a quiet time does not stay.
func TestHookLingers(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		ended(t, w.hook("quiet"), 0)
		w.count("cat", "curl", "flock", "rm", "sleep")
		// It is held by its sleep until the other message is there.
		w.write("counted/sleep", 0o755, "#!/bin/sh\necho sleep >>\"$OUT/started\"\nread -r _ <\"$OUT/go\"\n")
		fifo := filepath.Join(w.dir, "go")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		goOn, err := os.OpenFile(fifo, os.O_RDWR, 0) // so that nobody's opening waits
		if err != nil {
			t.Fatal(err)
		}
		defer goOn.Close()
		staying := w.start(strings.NewReader("first"), "hook")
		eventually(t, "it stays", func() bool { return w.started("sleep") == 1 })
		equalAll(t, "received", w.daemon.bodies(), "quiet", "first")
		ended(t, w.hook("second"), 0)
		ended(t, w.hook("third"), 0)
		equalAll(t, "received", w.daemon.bodies(), "quiet", "first")
		if _, err := goOn.WriteString("\n\n"); err != nil { // it stays again after what came
			t.Fatal(err)
		}
		ended(t, staying.end(), 0)
		equalAll(t, "received", w.daemon.bodies(), "quiet", "first", "second", "third")
		equalAll(t, "unfinished", w.unfinished())
		equal(t, "processes of curl", w.started("curl"), 2)

		w.write("spool/.sender", 0o600, "- 1\n")
		ended(t, w.hook("quiet again"), 0)
		equal(t, "stays", w.started("sleep"), 2)
	})
}

// Where the daemon takes some of what is sent together and not the rest, what it
// took is gone from the spool, and the rest waits in order: also where an answer
// is cut off behind its 200, and in front of what comes later.
func TestHookBatchStops(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		for name, stop := range map[string]func(http.ResponseWriter){
			"an error": func(rw http.ResponseWriter) { rw.WriteHeader(http.StatusServiceUnavailable) },
			"half an answer": func(rw http.ResponseWriter) {
				rw.Header().Set("Content-Length", "100")
				fmt.Fprint(rw, "short")
			},
		} {
			w.configure("URL", nobody)
			for i := range 5 {
				w.hook(fmt.Sprint(i))
			}
			sick, taken := sicken(t, "2", stop)
			w.configure("URL", sick)
			ended(t, w.hook("", "--drain"), 1, "3 messages wait")
			equalAll(t, name+": taken", taken(), "0", "1")
			equalAll(t, name+": waits", w.waits(), "2", "3", "4")
			before := len(w.daemon.bodies())
			w.configure("URL", w.daemon.URL)
			ended(t, w.hook("5"), 0)
			equalAll(t, name+": received", w.daemon.bodies()[before:], "2", "3", "4", "5")
			equalAll(t, "waits", w.waits())
		}
	})
}

// sicken serves a daemon that takes messages until one comes, which it answers
// otherwise. taken returns what it took.
func sicken(t *testing.T, at string, answer func(http.ResponseWriter)) (url string, taken func() []string) {
	var mu sync.Mutex
	var all []string
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) == at {
			answer(rw)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, string(body))
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// What was left to a hook that stops, or is killed, waits in its order and is
// sent by the next call.
func TestHookSenderFails(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		came, _, release := w.daemon.hold(t)
		start := func() *running {
			r := w.start(strings.NewReader("first"), "hook")
			receive(t, came, "request")
			for _, m := range []string{"second", "third"} {
				ended(t, w.hook(m), 0)
			}
			equalAll(t, "left", w.entrusted(), "second", "third")
			return r
		}
		killed := start()
		killed.kill()
		status := w.hook("", "--status")
		if !strings.Contains(status.out, "waiting: 2\n") {
			t.Error(status.out)
		}
		w.daemon.answer(accepted)
		ended(t, w.hook("", "--drain"), 0)
		release()
		got := w.daemon.bodies()
		equalAll(t, "received", got[len(got)-3:], "first", "second", "third")
		equalAll(t, "unfinished", w.unfinished())

		came, _, release = w.daemon.hold(t)
		stopped := start()
		w.daemon.always(503, "")
		release()
		ended(t, stopped.end(), 0, "2 messages wait", "HTTP 503")
		equalAll(t, "waits", w.waits(), "second", "third")
		equalAll(t, "unfinished", w.unfinished())
		w.daemon.answer(accepted)
		before := len(w.daemon.bodies())
		ended(t, w.hook("fourth"), 0)
		equalAll(t, "received", w.daemon.bodies()[before:], "second", "third", "fourth")
		equalAll(t, "unfinished", w.unfinished())
	})
}
