package frontend_test

import (
	"strings"
	"testing"
)

// A message is bytes: nothing in it is executed, changed or cut.
func TestHookHostileMessages(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		w.configure("URL", nobody)
		messages := []string{
			"a b  c\t'\"`touch " + w.dir + "/pwned` $(touch " + w.dir + "/pwned) ${x} \\n %s * ~ ; & |",
			"\n\nlines\n\n\n", "\r\n", " ", "-n", "--", "-x\n", "@/etc/passwd", allBytes(1), allBytes(8224), "\x00\x00a\x00", "<VM>ü€</VM>\n",
		}
		var want []string
		for _, m := range messages {
			ended(t, w.hook(m), 0, "wait")
			want = append(want, m)
			// As an argument: no NUL, no option, and the kernel takes 128 kB.
			if !strings.HasPrefix(m, "-") && !strings.Contains(m, "\x00") && len(m) < 1<<17 {
				ended(t, w.hook("", m), 0, "wait")
				want = append(want, m)
			}
		}
		w.configure("URL", w.daemon.URL)
		ended(t, w.hook("", "--drain"), 0)
		equalAll(t, "received", w.daemon.bodies(), want...)
		equal(t, "executed", w.left("pwned"), "")
	})
}

// A spool whose path has everything in it works like any other.
func TestHostileSpool(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		w.install()
		w.spool = w.dir + "/a b'\"$(touch " + strings.ReplaceAll(w.dir, "/", "%2f") + ")[x]*=#ü"
		w.configure("SPOOL", w.spool, "URL", nobody)
		c := calls()[1]
		ended(t, w.hook("first"), 0, "1 messages wait in "+w.spool)
		ended(t, w.driver(c), 0, "the original runs, and the report waits in "+w.spool)
		w.ran(c, 1)
		w.configure("URL", w.daemon.URL)
		w.daemon.always(400, "no")
		ended(t, w.hook("second"), 0, "put aside "+w.spool+"/refused/")
		equalAll(t, "received", w.daemon.bodies(), "first", c.told(), "second")
		status := w.hook("", "--status")
		ended(t, status, 0)
		equal(t, "status", status.out, "spool: "+w.spool+"\nwaiting: 0\nrefused: 3\n")
	})
}
