package frontend_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A driver's report that the daemon will not take does not hold up the messages
// of hooks, however many wait behind it.
func TestHookBatchBehindReport(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		w.write("spool/1600000000000000000-a.tm-delete", 0o600, "report")
		var want []string
		for i := range 40 {
			m := fmt.Sprint("message ", i)
			w.write(fmt.Sprintf("spool/17000000000000000%02d-a.hook", i), 0o600, m)
			want = append(want, m)
		}
		w.daemon.answer(func(r *http.Request, body string) (int, string) {
			if body == "report" {
				return 503, "not now"
			}
			return accepted(r, body)
		})
		ended(t, w.hook("", "--drain"), 1, "1 messages wait", "not now")
		equalAll(t, "received", w.daemon.bodies(), append([]string{"report"}, want...)...)
		equalAll(t, "waits", w.waits(), "report")
	})
}

// What a hook that was killed has left is sent before what came after it, also
// by a hook that has a message of its own.
func TestHookAfterKilledSender(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		came, _, release := w.daemon.hold(t)
		defer release()
		sender := w.start(strings.NewReader("first"), "hook")
		receive(t, came, "request")
		for _, m := range []string{"second", "third"} {
			ended(t, w.hook(m), 0)
		}
		sender.kill()
		before := time.Now().UTC().Truncate(time.Second)
		if got := w.hook("", "--status"); got.stderr != "" || !strings.Contains(got.out, "since: "+before.Format("2006-01-02T")) {
			t.Errorf("the status of what was left: %+v", got)
		}
		w.daemon.answer(accepted)
		ended(t, w.hook("fourth"), 0)
		got := w.daemon.bodies()
		equalAll(t, "received", got[len(got)-4:], "first", "second", "third", "fourth")
		equalAll(t, "unfinished", w.unfinished())
	})
}

// Where it cannot be said who sends, as on a full disk, hooks send all the same:
// else nothing would ever make room.
func TestHookWithoutSender(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		w.write("spool/.sender/x", 0o600, "")
		ended(t, w.hook("first"), 0)
		w.configure("URL", nobody)
		ended(t, w.hook("second"), 0, "1 messages wait")
		w.configure("URL", w.daemon.URL)
		ended(t, w.hook("", "--drain"), 0)
		equalAll(t, "received", w.daemon.bodies(), "first", "second")
	})
}

// A hook that cannot leave its message to the one that sends, as on a full disk,
// lets it wait, and that one finds it.
func TestHookCannotLeave(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		came, _, release := w.daemon.hold(t)
		first := w.start(strings.NewReader("first"), "hook")
		receive(t, came, "request")
		path := w.path
		w.write("full/cat", 0o755, "#!/bin/sh\n"+find(t, "cat")+"\nln -s /none/none \"$(readlink /proc/$$/fd/1).whole\"\n")
		w.path = filepath.Join(w.dir, "full") + ":" + path
		ended(t, w.hook("second"), 0, ".whole")
		w.path = path
		release()
		ended(t, first.end(), 0)
		equalAll(t, "received", w.daemon.bodies(), "first", "second")
		equalAll(t, "waits", w.waits())
	})
}

// What is refused of what was left leaves nothing behind, and is said once.
func TestHookRefusedOfLeft(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		came, _, release := w.daemon.hold(t)
		sender := w.start(strings.NewReader("first"), "hook")
		receive(t, came, "request")
		for _, m := range []string{"bad", "third"} {
			ended(t, w.hook(m), 0)
		}
		w.daemon.answer(func(_ *http.Request, body string) (int, string) {
			if body == "bad" {
				return 400, "it is bad"
			}
			return 503, "not now"
		})
		release()
		got := sender.end()
		ended(t, got, 0, "put aside", "1 messages wait", "not now")
		if strings.Contains(got.stderr, "mv:") {
			t.Errorf("it said: %s", got.stderr)
		}
		equalAll(t, "waits", w.waits(), "third")
		equalAll(t, "refused", w.refused(), "bad")
		equalAll(t, "unfinished", w.unfinished())
	})
}

// Of a slow daemon each of a few messages is given its share of the time, so that
// none is sent twice.
func TestHookBatchOfSlowDaemon(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		w.configure("HOOK_LIMIT", "20")
		w.write("spool/1700000000000000000-a.hook", 0o600, "older")
		w.daemon.answer(func(r *http.Request, body string) (int, string) {
			select {
			case <-time.After(2 * time.Second):
			case <-r.Context().Done():
			}
			return accepted(r, body)
		})
		ended(t, w.hook("message"), 0)
		equalAll(t, "received", w.daemon.bodies(), "older", "message")
	})
}

// A mark whose message is gone, and which cannot be removed, is no message: nobody
// looks again and again for what it is of.
func TestHookMarkOfNothing(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		w.write("spool/.new.100000000000-a.1.hook.whole/x", 0o600, "")
		ended(t, w.hook("message"), 0, "rm: ")
		equalAll(t, "received", w.daemon.bodies(), "message")
		ended(t, w.hook("", "--drain"), 0, "rm: ")
	})
}

// Root does not drain another user's spool: what it makes there would be its own,
// and the user's hooks could not use it.
func TestDrainAsRoot(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		w.write("as-root/id", 0o755, "#!/bin/sh\necho 0\n")
		w.path = filepath.Join(w.dir, "as-root") + ":" + w.path
		spool := "/usr" // root's
		if os.Getuid() == 0 {
			spool = filepath.Join(w.dir, "other")
			if err := os.Mkdir(spool, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(spool, 1, 1); err != nil {
				t.Fatal(err)
			}
		}
		w.configure("SPOOL", spool)
		ended(t, w.hook("", "--drain"), 1, spool+" is another user's")
		for _, name := range []string{".lock", ".sender"} {
			if _, err := os.Lstat(filepath.Join(spool, name)); !os.IsNotExist(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
