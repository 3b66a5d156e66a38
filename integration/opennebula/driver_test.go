package frontend_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	frontend "quarantine/integration/opennebula"
)

// Where the driver lies in a world.
const (
	tmDelete    = "remotes/tm/ceph/delete"
	datastoreRm = "remotes/datastore/ceph/rm"
)

// original stands for one of OpenNebula's scripts: it tells how it was run, and
// ends as it is told to.
const original = `#!/bin/sh
umask >"$OUT/umask"
printf '%s\n' "$0" >"$OUT/name"
for a; do printf '[%s]' "$a"; done >"$OUT/args"
cat >"$OUT/stdin"
env >"$OUT/environment"
ls -l /proc/$$/fd >"$OUT/descriptors"
echo ran >>"$OUT/ran"
echo to stdout
echo to stderr >&2
exit "$(cat "$OUT/exit")"
`

// install puts the driver before the originals.
func (w *world) install() {
	w.t.Helper()
	for _, path := range []string{tmDelete, datastoreRm} {
		w.script(path, frontend.DriverScript())
		w.write(path+frontend.Distrib, 0o755, original)
	}
	w.write("exit", 0o644, "0\n")
}

// call is one of the calls that oned makes.
type call struct {
	script, kind string
	args         []string
	stdin        string
	// body is what the daemon is to be told, next what to do when it is away.
	body, next string
}

func calls() []call {
	data := "<DS_DRIVER_ACTION_DATA><IMAGE><ID>7</ID><NAME>" + strings.Repeat("n'\"$x", 14000) + "</NAME></IMAGE></DS_DRIVER_ACTION_DATA>"
	disk := []string{"node1:/var/lib/one//datastores/101/42/disk.0", "42", "100"}
	return []call{
		{tmDelete, "tm-delete", disk, "", strings.Join(disk, "\n") + "\n", "onevm recover --retry 42"},
		{datastoreRm, "datastore-rm", []string{"7"}, base64.StdEncoding.EncodeToString([]byte(data)) + "\n", "", "oneimage delete 7"},
	}
}

// told is the body that the daemon is to get.
func (c call) told() string {
	if c.body == "" {
		return c.stdin
	}
	return c.body
}

// eachCall runs the test for each of the calls, in every shell.
func eachCall(t *testing.T, test func(t *testing.T, w *world, c call)) {
	t.Parallel()
	for _, c := range calls() {
		t.Run(c.kind, func(t *testing.T) {
			eachShell(t, func(t *testing.T, w *world) {
				w.install()
				test(t, w, c)
			})
		})
	}
}

func (w *world) driver(c call) result {
	w.t.Helper()
	return w.start(strings.NewReader(c.stdin), c.script, c.args...).end()
}

// left reads what the original left; "" if it did not run.
func (w *world) left(name string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	return string(b)
}

// ran checks that the original was run as oned ran the driver, this often.
func (w *world) ran(c call, times int) {
	w.t.Helper()
	equal(w.t, "runs of the original", w.left("ran"), strings.Repeat("ran\n", times))
	if times == 0 {
		return
	}
	equal(w.t, "its name", w.left("name"), filepath.Join(w.dir, c.script)+".distrib\n")
	equal(w.t, "its arguments", w.left("args"), "["+strings.Join(c.args, "][")+"]")
	equal(w.t, "its stdin", w.left("stdin"), c.stdin)
	equal(w.t, "its umask", w.left("umask"), "0022\n")
	for line := range strings.Lines(w.left("descriptors")) {
		if strings.Contains(line, w.spool) && !strings.Contains(line, " 0 -> ") {
			w.t.Errorf("it has open: %s", line)
		}
	}
	for line := range strings.Lines(w.left("environment")) {
		if key, _, _ := strings.Cut(line, "="); !strings.Contains(" PATH QUARANTINE_CONF OUT PWD OLDPWD SHLVL _ ", " "+key+" ") {
			w.t.Errorf("in its environment: %s", line)
		}
	}
}

// The daemon says that the original shall go on: it gets all that oned gave,
// and what it says and its exit status are the driver's.
func TestDriverProceeds(t *testing.T) {
	eachCall(t, func(t *testing.T, w *world, c call) {
		for i, exit := range []int{0, 7} {
			w.write("exit", 0o644, fmt.Sprintln(exit))
			got := w.driver(c)
			equal(t, "result", got, result{exit, "to stdout\n", "to stderr\n"})
			w.ran(c, i+1)
		}
		for _, r := range w.daemon.requests() {
			equal(t, "request", r, request{"/v1/drivers/opennebula/" + c.kind, "cloud=one", "Bearer " + token, "application/octet-stream", c.told()})
		}
		equal(t, "requests", len(w.daemon.requests()), 2)
		equalAll(t, "waits", w.waits())
		equalAll(t, "unfinished", w.unfinished())
	})
}

// The daemon says that the disk is in quarantine: the original is not run. The
// same call again, which is how a VM is retried, asks again.
func TestDriverDone(t *testing.T) {
	eachCall(t, func(t *testing.T, w *world, c call) {
		w.daemon.always(200, `{"act":"done","reason":"in quarantine","disks":["3fa1c09be2d47a55"]}`)
		for range 2 {
			equal(t, "result", w.driver(c), result{})
		}
		w.ran(c, 0)
		w.daemon.always(200, `{"act": "proceed", "reason": "say \"act\":\"done\" in JSON"}`)
		ended(t, w.driver(c), 0, "to stderr")
		w.ran(c, 1)
		equalAll(t, "told", w.daemon.bodies(), c.told(), c.told(), c.told())
		equalAll(t, "waits", w.waits())
		equalAll(t, "unfinished", w.unfinished())
		equalAll(t, "logged", w.logged())
	})
}

// A driver that cannot run the original, or does not know which it is, fails
// before it asks.
func TestDriverWithoutOriginal(t *testing.T) {
	eachCall(t, func(t *testing.T, w *world, c call) {
		path := filepath.Join(w.dir, c.script) + ".distrib"
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		ended(t, w.driver(c), 1, path+", the original script, is missing or cannot be run: nothing was removed")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		ended(t, w.driver(c), 1, path+", the original script, is missing or cannot be run: nothing was removed")
		// Installed twice: the driver as its own original.
		w.script(c.script+".distrib", frontend.DriverScript())
		w.daemon.always(200, `{"act":"proceed"}`)
		ended(t, w.driver(c), 1, "lies neither at tm/*/delete nor at datastore/*/rm")
		w.script("elsewhere", frontend.DriverScript())
		ended(t, w.start(nil, "elsewhere", c.args...).end(), 1, "lies neither at tm/*/delete nor at datastore/*/rm")
		equal(t, "requests", len(w.daemon.requests()), 1)
	})
}

// TERM ends a driver that asks, with the process that asks for it; the original
// is not run. Once it runs, it is the one that gets the signal.
func TestDriverTerminated(t *testing.T) {
	eachCall(t, func(t *testing.T, w *world, c call) {
		w.configure("DRIVER_LIMIT", "999") // not within the patience of the test
		came, gone, _ := w.daemon.hold(t)
		r := w.start(strings.NewReader(c.stdin), c.script, c.args...)
		receive(t, came, "request")
		if err := r.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		ended(t, r.end(), 143)
		receive(t, gone, "end of the connection")
		w.ran(c, 0)
		equalAll(t, "waits", w.waits())
		equalAll(t, "unfinished", w.unfinished())

		w.daemon.answer(accepted)
		w.write(c.script+".distrib", 0o755, "#!/bin/sh\ntrap 'echo ended >\"$OUT/ended\"; exit 9' TERM\necho up >\"$OUT/up\"\nwhile :; do sleep 0.01; done\n")
		r = w.start(strings.NewReader(c.stdin), c.script, c.args...)
		eventually(t, "the original runs", func() bool { return w.left("up") != "" })
		if err := r.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		ended(t, r.end(), 9)
		equal(t, "the original", w.left("ended"), "ended\n")
	})
}

// Arguments and input go through as they are: to the daemon as lines, to the
// original as they came.
func TestDriverHostileArguments(t *testing.T) {
	eachCall(t, func(t *testing.T, w *world, c call) {
		c.args = []string{"a b'c\"d$(touch " + w.dir + "/pwned)`touch " + w.dir + "/pwned`:/\\n\nnew\n", "", "-x", "--", "*", "ü%s\x01"}
		for _, c.stdin = range []string{"no newline", "several\n\n\n", "", "-n \\ %s '\"\n$(touch " + w.dir + "/pwned)", allBytes(1)} {
			ended(t, w.driver(c), 0, "to stderr")
			equal(t, "its arguments", w.left("args"), "["+strings.Join(c.args, "][")+"]")
			equal(t, "its stdin", w.left("stdin"), c.stdin)
			want := c.stdin
			if c.kind == "tm-delete" {
				want = strings.Join(c.args, "\n") + "\n"
			}
			got := w.daemon.bodies()
			equal(t, "told", got[len(got)-1], want)
		}
		w.configure("URL", nobody)
		got := w.driver(c)
		ended(t, got, 0, "the original runs", "touch "+w.dir+"/pwned)")
		if lines := strings.Count(got.stderr, "\n"); lines != 2 || strings.Contains(got.stderr, "\x01") {
			t.Errorf("%d lines: %q", lines, got.stderr)
		}
		equal(t, "executed", w.left("pwned"), "")
	})
}

// allBytes is every byte but NUL, n times.
func allBytes(n int) string {
	b := make([]byte, 0, 255*n)
	for range n {
		for c := 1; c < 256; c++ {
			b = append(b, byte(c))
		}
	}
	return string(b)
}
