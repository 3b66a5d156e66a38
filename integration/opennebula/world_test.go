package frontend_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	frontend "quarantine/integration/opennebula"
)

// token is the daemon's token in tests.
const token = "hook-token.0123456789_ABC"

// patience bounds whatever a test waits for: long enough for a busy machine.
const patience = 2 * time.Minute

// nobody is a URL where nobody listens.
const nobody = "http://127.0.0.1:1"

// shells are the shells that a front-end can have as sh.
var shells = []string{"dash", "busybox"}

// eachShell runs the test in every shell.
func eachShell(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	for _, shell := range shells {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, shell))
		})
	}
}

// world is a front-end of its own: scripts, configuration, spool, and a daemon.
type world struct {
	t      *testing.T
	shell  []string
	daemon *daemon
	// dir has everything of the front-end; spool is below it.
	dir, spool, path string
	// keys is the configuration.
	keys map[string]string
}

func newWorld(t *testing.T, shell string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), daemon: newDaemon(t)}
	w.spool = filepath.Join(w.dir, "spool")
	bin := filepath.Join(w.dir, "bin")
	w.path = bin + ":/usr/bin:/bin"
	w.shell = []string{find(t, shell)}
	w.write("bin/logger", 0o755, fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' \"$*\" >>'%s/logged'\n", w.dir))
	if shell == "busybox" {
		// Nothing but busybox's own commands, and what it does not have.
		w.shell = append(w.shell, "sh")
		w.path = bin
		applets, err := exec.Command(w.shell[0], "--list").Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, applet := range strings.Fields(string(applets)) {
			if applet != "logger" {
				w.link(w.shell[0], "bin/"+applet)
			}
		}
		w.link(find(t, "curl"), "bin/curl")
		w.link(find(t, "flock"), "bin/flock")
	}
	// A hook that lingers for others does not make the tests linger.
	w.link(find(t, "true"), "bin/sleep")
	w.write("token", 0o600, token+"\n")
	w.keys = map[string]string{"URL": w.daemon.URL, "TOKEN_FILE": w.dir + "/token", "CLOUD": "one", "SPOOL": w.spool, "HOOK_LIMIT": "60", "DRIVER_LIMIT": "60"}
	w.configure()
	w.script("hook", frontend.HookScript())
	return w
}

// find returns the path of a command that the tests need.
func find(t *testing.T, command string) string {
	t.Helper()
	path, err := exec.LookPath(command)
	if err != nil {
		t.Fatalf("%v; make install-deps brings it", err)
	}
	return path
}

// command returns the path of one of the small commands, which are busybox's
// where the shell is.
func (w *world) command(name string) string {
	w.t.Helper()
	if len(w.shell) > 1 {
		return w.shell[0]
	}
	return find(w.t, name)
}

func (w *world) write(name string, mode os.FileMode, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		w.t.Fatal(err)
	}
}

// link makes a link in the world to a command.
func (w *world) link(to, name string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	if err := os.Symlink(to, path); err != nil {
		w.t.Fatal(err)
	}
}

// script installs a script, with a default spool of the world.
func (w *world) script(name, text string) {
	w.t.Helper()
	if n := strings.Count(text, "\ndefault_spool="+frontend.SpoolPath+"\n"); n != 1 {
		w.t.Fatalf("%s says %d times where the spool is by default", name, n)
	}
	w.write(name, 0o755, strings.Replace(text, "\ndefault_spool="+frontend.SpoolPath+"\n", "\ndefault_spool="+w.dir+"/default-spool\n", 1))
}

// configure writes the configuration; the pairs are keys and values that
// change, and "" as a value takes a key away.
func (w *world) configure(pairs ...string) {
	w.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		w.keys[pairs[i]] = pairs[i+1]
		if pairs[i+1] == "" {
			delete(w.keys, pairs[i])
		}
	}
	var b strings.Builder
	b.WriteString("# test\n\n")
	for key, value := range w.keys {
		fmt.Fprintf(&b, "%s=%s\n", key, value)
	}
	w.write("conf", 0o644, b.String())
}

// result is how a script ended.
type result struct {
	code        int
	out, stderr string
}

// running is a script that was started. Its output goes to files, so that
// waiting for it does not wait for what it has left behind.
type running struct {
	*exec.Cmd
	t           *testing.T
	out, stderr *os.File
}

// start starts a script of the world, which is killed when the test is over.
func (w *world) start(stdin io.Reader, script string, args ...string) *running {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r := &running{t: w.t}
	argv := slices.Concat(w.shell[1:], []string{filepath.Join(w.dir, script)}, args)
	r.Cmd = exec.CommandContext(ctx, w.shell[0], argv...)
	r.Stdin = stdin
	r.Env = []string{"PATH=" + w.path, "QUARANTINE_CONF=" + w.dir + "/conf", "OUT=" + w.dir}
	for _, f := range []**os.File{&r.out, &r.stderr} {
		file, err := os.CreateTemp(w.dir, "output")
		if err != nil {
			w.t.Fatal(err)
		}
		*f = file
		w.t.Cleanup(func() { file.Close() })
	}
	r.Stdout, r.Stderr = r.out, r.stderr
	if err := r.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		cancel()
		if r.ProcessState == nil {
			_ = r.Wait()
		}
	})
	return r
}

// end waits for the script.
func (r *running) end() result {
	r.t.Helper()
	_ = r.Wait() // the code tells
	res := result{code: r.ProcessState.ExitCode()}
	for f, to := range map[*os.File]*string{r.out: &res.out, r.stderr: &res.stderr} {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			r.t.Fatal(err)
		}
		*to = string(b)
	}
	return res
}

// hook runs the hook with a message on stdin.
func (w *world) hook(message string, args ...string) result {
	w.t.Helper()
	return w.start(strings.NewReader(message), "hook", args...).end()
}

// waits returns what waits in the spool, the oldest first.
func (w *world) waits() []string {
	w.t.Helper()
	return w.messages(w.spool)
}

func (w *world) refused() []string {
	w.t.Helper()
	return w.messages(filepath.Join(w.spool, "refused"))
}

// messages returns the contents of the files in a spool, by name.
func (w *world) messages(dir string) []string {
	w.t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "[0-9]*"))
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

// unfinished returns the names of messages that are being written or sent.
func (w *world) unfinished() []string {
	w.t.Helper()
	names, err := filepath.Glob(filepath.Join(w.spool, ".new.*"))
	if err != nil {
		w.t.Fatal(err)
	}
	return names
}

// logged returns the lines that went to syslog.
func (w *world) logged() []string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "logged"))
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
}

// receive waits for a value.
func receive(t *testing.T, c <-chan string, what string) string {
	t.Helper()
	select {
	case s := <-c:
		return s
	case <-time.After(patience):
		t.Fatalf("no %s", what)
		return ""
	}
}

// recorded returns a message as OpenNebula gave it to a hook.
func recorded(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %s, want %s", what, short(got), short(want))
	}
}

func equalAll(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %d: %s, want %d: %s", what, len(got), short(got), len(want), short(want))
	}
}

// short prints a value, of a long one the beginning.
func short(v any) string {
	b := fmt.Appendf(nil, "%q", fmt.Sprint(v))
	if len(b) > 400 {
		b = append(bytes.Clone(b[:400]), "…"...)
	}
	return string(b)
}

// ended checks that a script ended as it should, and what it said: nothing, or
// something with all of says in it.
func ended(t *testing.T, got result, code int, says ...string) {
	t.Helper()
	if got.code != code {
		t.Errorf("exit status %d, want %d; stderr: %s", got.code, code, got.stderr)
	}
	if len(says) == 0 && got.stderr != "" {
		t.Errorf("it said: %s", got.stderr)
	}
	for _, s := range says {
		if !strings.Contains(got.stderr, s) {
			t.Errorf("it did not say %q, but: %s", s, got.stderr)
		}
	}
}
