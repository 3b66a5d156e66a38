package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cli runs the command and returns its status and output.
func cli(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = run(t.Context(), args, &out, &errOut)
	return status, out.String(), errOut.String()
}

// Wrong usage says how it is meant and ends with 2; a lab that is not there is
// an error.
func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"fly"}, {"up", "-height", "3"}, {"run"}, {"-h"}} {
		if status, _, stderr := cli(t, args...); status != 2 || !strings.Contains(stderr, "usage: cephlab") {
			t.Errorf("%q ends with %d: %s", args, status, stderr)
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	for _, args := range [][]string{{"down", "-dir", none}, {"env", "-dir", none}} {
		if status, _, stderr := cli(t, args...); status != 1 || !strings.HasPrefix(stderr, "error: ") {
			t.Errorf("%q ends with %d: %s", args, status, stderr)
		}
	}
}

// A lab for hand work stays when the command ends, says how to use it, and is
// gone after down, also when it had died.
func TestUpAndDown(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "lab")
	var said []string
	for range 2 { // the second finds it
		status, stdout, stderr := cli(t, "up", "-dir", dir)
		if status != 0 || !strings.Contains(stdout, "export CEPH_CONF="+dir+"/ceph.conf") {
			t.Fatalf("up ends with %d: %s%s", status, stdout, stderr)
		}
		said = append(said, stdout)
	}
	if status, stdout, _ := cli(t, "env", "-dir", dir); status != 0 || stdout != said[0] || stdout != said[1] {
		t.Errorf("env ends with %d and says %q, up said %q", status, stdout, said)
	}
	// As after a restart of the machine: the directory is there, nothing runs.
	pid := filepath.Join(dir, "run", "mgr.pid")
	kept, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(pid); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := cli(t, "up", "-dir", dir); status != 1 || !strings.Contains(stderr, "hint: ") {
		t.Errorf("up of a lab that died ends with %d: %s", status, stderr)
	}
	if err := os.WriteFile(pid, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := cli(t, "down", "-dir", dir); status != 0 {
		t.Fatalf("down ends with %d: %s", status, stderr)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the lab's directory: %v", err)
	}
}

// run gives a program a lab in QUARANTINE_LAB and ends with its status; the
// lab ends with it.
func TestRun(t *testing.T) {
	t.Parallel()
	status, stdout, stderr := cli(t, "run", "-commit", "50ms", "--", "/bin/sh", "-c", `echo "$QUARANTINE_LAB"; test -e "$QUARANTINE_LAB/ceph.conf" && exit 7`)
	dir := strings.TrimSpace(stdout)
	if status != 7 || dir == "" {
		t.Errorf("run ends with %d: %s%s", status, stdout, stderr)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the lab's directory: %v", err)
	}
}
