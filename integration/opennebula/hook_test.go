package frontend_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"quarantine/internal/opennebula"
)

// A message arrives as OpenNebula gave it, by either way, with the token and
// the cloud, and leaves nothing behind: what the daemon decodes from it is what
// is in the recording.
func TestHookDelivers(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		names := []string{"0206-st_epilog.stdin", "0215-st_done.stdin", "0701-st_epilog_failure.stdin", "0831-st_image_delete.stdin", "0830-api_one_image_delete.stdin"}
		for _, name := range names {
			message := recorded(t, name)
			ended(t, w.hook(message), 0)
			ended(t, w.hook("", message), 0)
			ended(t, w.hook("", "literal", message, "tail"), 0)
		}
		got := w.daemon.requests()
		equal(t, "requests", len(got), 3*len(names))
		deletions := 0
		for i, r := range got {
			want := recorded(t, names[i/3])
			equal(t, "request", r, request{"/v1/hooks/opennebula", "cloud=one", "Bearer " + token, "application/octet-stream", want})
			decoded, err := opennebula.Decode("one", []byte(r.body))
			original, werr := opennebula.Decode("one", []byte(want))
			if err != nil || werr != nil || !reflect.DeepEqual(decoded, original) {
				t.Errorf("%s: %v, %v", names[i/3], err, werr)
			}
			deletions += len(decoded)
		}
		equal(t, "deletions", deletions, 3*4) // a bare CALL_INFO is none
		equalAll(t, "waits", w.waits())
		equalAll(t, "unfinished", w.unfinished())
		equalAll(t, "logged", w.logged())
		info, err := os.Stat(w.spool)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "mode of the spool", info.Mode(), os.ModeDir|0o700)
	})
}

// While the daemon is away messages wait. When it is back the next hook sends
// all, in the order of time and each once, its own at the end; --drain does the
// same without one.
func TestHookKeepsWhileAway(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		w.configure("URL", nobody)
		var want []string
		for i := range 5 {
			m := fmt.Sprint("message ", i)
			want = append(want, m)
			ended(t, w.hook(m), 0, fmt.Sprintf("%d messages wait", i+1), "Failed to connect")
		}
		equalAll(t, "waits", w.waits(), want...)
		names, err := filepath.Glob(w.spool + "/[0-9]*")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "time in the name", filepath.Base(name)[:10], fmt.Sprint(info.ModTime().Unix()))
		}
		ended(t, w.hook("", "--drain"), 1, "5 messages wait in "+w.spool, "Failed to connect")
		equalAll(t, "waits", w.waits(), want...)

		w.configure("URL", w.daemon.URL)
		ended(t, w.hook("message 5"), 0)
		want = append(want, "message 5")
		equalAll(t, "received", w.daemon.bodies(), want...)
		equalAll(t, "waits", w.waits())

		w.configure("URL", nobody)
		w.hook("message 6")
		w.hook("message 7")
		w.configure("URL", w.daemon.URL)
		ended(t, w.hook("", "--drain"), 0)
		equalAll(t, "received", w.daemon.bodies(), append(want, "message 6", "message 7")...)
		equalAll(t, "waits", w.waits())
		ended(t, w.hook("", "--drain"), 0)
		equal(t, "requests", len(w.daemon.requests()), 8)
	})
}

// Many hooks at once lose nothing and send nothing twice: not while the daemon
// is away, not when it is back, and nothing is left when the last has ended.
func TestHooksAtOnce(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		const n = 20
		w.link(w.command("sleep"), "bin/sleep")
		burst := func(name string) (sent []string) {
			var all sync.WaitGroup
			for i := range n {
				m := fmt.Sprint(name, i)
				sent = append(sent, m)
				r := w.start(strings.NewReader(m), "hook")
				all.Go(func() { _ = r.Wait() })
			}
			all.Wait()
			return sent
		}
		w.configure("URL", nobody)
		sent := burst("away ")
		first := w.waits()
		equal(t, "waits", len(first), n)

		w.configure("URL", w.daemon.URL)
		sent = append(sent, burst("back ")...)
		equalAll(t, "waits", w.waits())
		equalAll(t, "unfinished", w.unfinished())
		got := w.daemon.bodies()
		if len(got) < n || !slices.Equal(got[:n], first) {
			t.Errorf("not in the order of the spool: %s, want first %s", short(got), short(first))
		}
		slices.Sort(got)
		slices.Sort(sent)
		equalAll(t, "received", got, sent...)
	})
}

// A daemon that cannot, or does not let this hook in, gets the message later:
// all wait in their order, behind the first.
func TestHookStops(t *testing.T) {
	for _, code := range []int{302, 401, 403, 404, 500, 503} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			eachShell(t, func(t *testing.T, w *world) {
				w.daemon.always(code, `{"detail":"because"}`)
				ended(t, w.hook("one"), 0, fmt.Sprintf("HTTP %d", code), "because")
				ended(t, w.hook("two"), 0, "2 messages wait", fmt.Sprintf("HTTP %d", code))
				ended(t, w.hook("", "--drain"), 1, "2 messages wait", fmt.Sprintf("HTTP %d", code))
				tried := w.daemon.bodies() // of several that wait the first is tried with them, and alone
				if code >= 400 {
					equalAll(t, "tried", tried, "one", "one", "one", "one", "one")
				}
				equalAll(t, "waits", w.waits(), "one", "two")
				w.daemon.answer(accepted)
				ended(t, w.hook("three"), 0)
				equalAll(t, "sent", w.daemon.bodies()[len(tried):], "one", "two", "three")
				equalAll(t, "waits", w.waits())
			})
		})
	}
}

// A driver's late report that the daemon does not take waits, and holds back no
// hook; while there is no daemon at all it is not passed by either.
func TestHookPassesLateReports(t *testing.T) {
	for _, code := range []int{401, 404, 503} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			eachShell(t, func(t *testing.T, w *world) {
				w.install()
				w.configure("URL", nobody)
				c := calls()[0]
				ended(t, w.driver(c), 0, "the report waits")
				ended(t, w.hook("one"), 0, "2 messages wait")
				ended(t, w.hook("two"), 0, "3 messages wait")
				equalAll(t, "waits", w.waits(), c.told(), "one", "two")
				w.configure("URL", w.daemon.URL)
				w.daemon.answer(func(r *http.Request, body string) (int, string) {
					if strings.HasPrefix(r.URL.Path, "/v1/drivers/") {
						return code, "no"
					}
					return accepted(r, body)
				})
				ended(t, w.hook("three"), 0, fmt.Sprintf("HTTP %d", code))
				equalAll(t, "received", w.daemon.bodies(), c.told(), "one", "two", "three")
				equalAll(t, "waits", w.waits(), c.told())
				ended(t, w.hook("", "--drain"), 1, "1 messages wait")
				w.daemon.answer(accepted)
				ended(t, w.hook("", "--drain"), 0)
				equalAll(t, "waits", w.waits())
			})
		})
	}
}

// A message that the daemon refuses is put aside, is told of, and does not stop
// the others.
func TestHookPutsRefusedAside(t *testing.T) {
	for _, code := range []int{400, 413, 422} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			eachShell(t, func(t *testing.T, w *world) {
				w.configure("URL", nobody)
				for _, m := range []string{"good 1", "bad 2", "good 3"} {
					w.hook(m)
				}
				w.configure("URL", w.daemon.URL)
				w.daemon.answer(func(r *http.Request, body string) (int, string) {
					if strings.HasPrefix(body, "bad") {
						return code, "{\"detail\":\"it is\n\x1bbad\"}"
					}
					return accepted(r, body)
				})
				says := []string{"put aside " + w.spool + "/refused/", fmt.Sprintf("HTTP %d: {\"detail\":\"it is bad\"}", code)}
				ended(t, w.hook("bad 4"), 0, says...)
				ended(t, w.hook("bad 5"), 0, says...)
				equalAll(t, "received", slices.Compact(w.daemon.bodies()), "good 1", "bad 2", "good 3", "bad 4", "bad 5")
				equalAll(t, "waits", w.waits())
				equalAll(t, "refused", w.refused(), "bad 2", "bad 4", "bad 5")
				logged := w.logged()
				equal(t, "lines in syslog", len(logged), 3)
				if !strings.Contains(logged[0], says[0]) {
					t.Error(logged[0])
				}
			})
		})
	}
}

// A message that is larger than the daemon reads is put aside, although the
// daemon answers before it has been sent.
func TestHookTooLarge(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		w.daemon.answer(nil)
		message := strings.Repeat("x", 4<<20)
		ended(t, w.hook(message), 0, "HTTP 413")
		equalAll(t, "refused", w.refused(), message)
		equalAll(t, "waits", w.waits())
	})
}

// What is not a message of this spool is put aside too, and what cannot be
// kept is not said to be.
func TestHookSpoolTrouble(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		w.write("spool/1700000000000000000-a.unknown", 0o600, "what")
		w.write("spool/1700000000000000001-dir.hook/x", 0o600, "")
		ended(t, w.hook("message"), 0, "no ending that is known", "cannot be read")
		equalAll(t, "received", w.daemon.bodies(), "message")
		equalAll(t, "waits", w.waits())
		names, err := filepath.Glob(w.spool + "/refused/*")
		if err != nil || len(names) != 2 {
			t.Errorf("put aside: %q, %v", names, err)
		}

		w.write("file", 0o600, "")
		w.configure("SPOOL", w.dir+"/file/spool")
		ended(t, w.hook("message"), 1, "cannot make the spool "+w.dir+"/file/spool")
		ended(t, w.hook("", "--drain"), 1, "cannot make the spool")
		w.configure("SPOOL", w.dir+"/file")
		ended(t, w.hook("message"), 1, "cannot make the spool")
		w.configure("SPOOL", w.spool)
		ended(t, w.hook(""), 1, "no message")
		equalAll(t, "unfinished", w.unfinished())
		equal(t, "requests", len(w.daemon.requests()), 1)
	})
}

// --status says how many wait since when, and sends nothing.
func TestHookStatus(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		status := w.hook("", "--status")
		ended(t, status, 0)
		equal(t, "status", status.out, "spool: "+w.spool+"\nwaiting: 0\nrefused: 0\n")
		w.write("spool/1795877669123456789-b.hook", 0o600, "second")
		w.write("spool/1795877669123456788-c.tm-delete", 0o600, "first")
		w.write("spool/refused/1795877669123456787-a.hook", 0o600, "zeroth")
		status = w.hook("", "--status")
		ended(t, status, 0)
		equal(t, "status", status.out, "spool: "+w.spool+"\nwaiting: 2\nsince: 2026-11-28T14:54:29Z\nrefused: 1\n")
		equal(t, "requests", len(w.daemon.requests()), 0)
		for _, args := range [][]string{{"--drain", "now"}, {"--status", "x"}, {"--what"}, {"-x", recorded(t, "0206-st_epilog.stdin")}} {
			ended(t, w.hook("", args...), 2, "usage: ")
		}
	})
}

// A spool beyond SPOOL_MAX takes new messages, and warns.
func TestHookSpoolMax(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		w.configure("SPOOL_MAX", "2")
		w.daemon.always(503, "")
		for i := range 2 {
			w.hook(fmt.Sprint(i))
		}
		equalAll(t, "logged", w.logged())
		w.hook("2")
		ended(t, w.hook("3"), 0, "messages wait in "+w.spool+", more than 2")
		equalAll(t, "waits", w.waits(), "0", "1", "2", "3")
		if len(w.logged()) == 0 {
			t.Error("nothing in syslog")
		}
	})
}
