package frontend_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// absence is a way in which there can be no answer, and what is said of it.
type absence struct {
	name string
	set  func(t *testing.T, w *world)
	says string
}

var away = []absence{
	{"nobody", func(_ *testing.T, w *world) { w.configure("URL", nobody) }, "no answer: curl: (7) Failed to connect"},
	{"never", func(t *testing.T, w *world) { w.daemon.hold(t); w.configure("DRIVER_LIMIT", "1") }, "no answer: curl: (28)"},
	{"503", func(_ *testing.T, w *world) { w.daemon.always(503, "later") }, "HTTP 503: later"},
	{"400", func(_ *testing.T, w *world) { w.daemon.always(400, `{"act":"proceed"}`) }, "HTTP 400: {\"act\":\"proceed\"}"},
	{"401", func(_ *testing.T, w *world) { w.daemon.always(401, "who\nare you?") }, "HTTP 401: who are you?"},
	{"404", func(_ *testing.T, w *world) { w.daemon.always(404, `{"act":"done"}`) }, "HTTP 404"},
	{"500", func(_ *testing.T, w *world) { w.daemon.always(500, "") }, "HTTP 500"},
	{"202", func(_ *testing.T, w *world) { w.daemon.always(202, `{"act":"done"}`) }, "HTTP 202"},
	{"empty", func(_ *testing.T, w *world) { w.daemon.always(200, "") }, "HTTP 200: "},
	{"neither", func(_ *testing.T, w *world) { w.daemon.always(200, `{"act":"maybe","reason":"\"act\":\"done\""}`) }, "HTTP 200: {\"act\":\"maybe\""},
	{"both", func(_ *testing.T, w *world) { w.daemon.always(200, `{"act":"proceed"}{"act":"done"}`) }, "HTTP 200"},
	{"cut", func(t *testing.T, w *world) {
		w.configure("URL", "http://"+serve(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"act\":\"done\"}"))
	}, "no answer: curl: ("},
	{"rubbish", func(t *testing.T, w *world) { w.configure("URL", "http://"+serve(t, "rubbish")) }, "no answer: curl: "},
	{"configuration", func(_ *testing.T, w *world) { w.configure("COLOUR", "red") }, "unknown key COLOUR"},
	{"no curl", func(t *testing.T, w *world) {
		w.path = filepath.Join(w.dir, "few")
		for _, c := range []string{"cat", "date", "env", "ls", "mkdir", "mv", "rm", "tr"} {
			w.link(w.command(c), "few/"+c)
		}
	}, "curl: not found"},
}

// eachAbsence runs the test for each of them: the first three with each call in
// every shell, the others with one call in one shell, in turn.
func eachAbsence(t *testing.T, test func(t *testing.T, w *world, c call, a absence)) {
	t.Parallel()
	for i, a := range away {
		t.Run(a.name, func(t *testing.T) {
			if i < 3 {
				eachCall(t, func(t *testing.T, w *world, c call) { test(t, w, c, a) })
				return
			}
			t.Parallel()
			w := newWorld(t, shells[i/2%2])
			w.install()
			test(t, w, calls()[i%2], a)
		})
	}
}

// While the daemon is away and MODE is fail-open the original runs as ever, one
// line tells of it, and the report reaches the daemon later, as one that is
// late.
func TestDriverFailsOpen(t *testing.T) {
	eachAbsence(t, func(t *testing.T, w *world, c call, a absence) {
		a.set(t, w)
		w.write("exit", 0o644, "5\n")
		got := w.driver(c)
		ended(t, got, 5, "quarantine-driver: "+c.kind+" ", a.says, "fail-open: the original runs, and the report waits in "+w.spool)
		if lines := strings.Count(got.stderr, "\n"); lines != 2 {
			t.Errorf("%d lines: %s", lines, got.stderr)
		}
		w.ran(c, 1)
		equalAll(t, "waits", w.waits(), c.told())
		if a.name != "no curl" {
			if l := w.logged(); len(l) != 1 || !strings.Contains(l[0], "the original runs") {
				t.Errorf("syslog: %q", l)
			}
		}
		if a.name != "nobody" {
			return
		}
		w.configure("URL", w.daemon.URL)
		ended(t, w.hook("", "--drain"), 0)
		equal(t, "request", w.daemon.requests()[0], request{"/v1/drivers/opennebula/" + c.kind, "cloud=one&late=true", "Bearer " + token, "application/octet-stream", c.told()})
		equalAll(t, "waits", w.waits())
		w.configure("CLOUD", "", "URL", nobody)
		w.driver(c)
		w.configure("URL", w.daemon.URL)
		ended(t, w.hook("message"), 0)
		equal(t, "query", w.daemon.requests()[1].query, "late=true")
		equal(t, "query", w.daemon.requests()[2].query, "")
	})
}

// With fail-closed nothing is removed and nothing kept: the call fails, and says
// what to do next.
func TestDriverFailsClosed(t *testing.T) {
	eachAbsence(t, func(t *testing.T, w *world, c call, a absence) {
		w.configure("MODE", "fail-closed")
		a.set(t, w)
		got := w.driver(c)
		ended(t, got, 1, "refused "+c.kind+" "+c.args[0], a.says, "MODE=fail-closed; next: "+c.next+" when the daemon is back")
		if lines := strings.Count(got.stderr, "\n"); lines != 1 {
			t.Errorf("%d lines: %s", lines, got.stderr)
		}
		w.ran(c, 0)
		equalAll(t, "waits", w.waits())
		equalAll(t, "unfinished", w.unfinished())
	})
}

// Where the report cannot be written the daemon is not asked. The original still
// gets its input.
func TestDriverWithoutSpool(t *testing.T) {
	eachCall(t, func(t *testing.T, w *world, c call) {
		w.write("file", 0o600, "")
		w.configure("SPOOL", w.dir+"/file/spool")
		w.write("exit", 0o644, "5\n")
		ended(t, w.driver(c), 5, "cannot write to the spool", "the report could NOT be kept")
		equal(t, "its stdin", w.left("stdin"), c.stdin)
		equal(t, "runs", w.left("ran"), "ran\n")
		w.configure("MODE", "fail-closed")
		ended(t, w.driver(c), 1, "refused "+c.kind, "cannot write to the spool")
		equal(t, "runs", w.left("ran"), "ran\n")
		equal(t, "requests", len(w.daemon.requests()), 0)
	})
}

// Of a driver that is killed while it asks, the report is sent later.
func TestDriverKilled(t *testing.T) {
	eachCall(t, func(t *testing.T, w *world, c call) {
		came, _, release := w.daemon.hold(t)
		r := w.start(strings.NewReader(c.stdin), c.script, c.args...)
		receive(t, came, "request")
		r.kill()
		w.ran(c, 0)
		release()
		w.daemon.answer(accepted)
		ended(t, w.hook("", "--drain"), 0)
		got := w.daemon.requests()
		last := got[len(got)-1]
		equal(t, "query", last.query, "cloud=one&late=true")
		equal(t, "told", last.body, c.told())
		equalAll(t, "waits", w.waits())
		equalAll(t, "unfinished", w.unfinished())
		if _, err := os.Stat(filepath.Join(w.dir, "ran")); err == nil {
			t.Error("the original ran")
		}
	})
}
