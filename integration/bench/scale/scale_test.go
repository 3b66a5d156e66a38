package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
)

// The bench runs to its end on a real Ceph with the real daemon, each list has an
// answer, and its last lines are the verdicts, in the documented form. What the
// values are is not for a test on a busy machine.
func TestQuickBench(t *testing.T) {
	t.Parallel()
	lab := cephlab.Shared(t)
	bin := filepath.Join(t.TempDir(), "quarantined")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "pacific,ceph_preview", "-o", bin, "quarantine/cmd/quarantined")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the daemon: %v\n%s", err, out)
	}
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), []string{"-bin", bin, "-disks", "2000", "-times", "3"}, lab.Dir, time.Now, &stdout, &stderr)
	want := regexp.MustCompile(`(?m)` + strings.Join([]string{
		`^list_p99 \d+\.\d+ ms bar 50\.\d+ (ok|short)$`, `^collect_plan \d+\.\d+ s bar 10\.\d+ (ok|short)$`,
		`^policy_over_all \d+\.\d+ s bar 60\.\d+ (ok|short)$`, `^daemon_rss \d+\.\d+ MB bar 256\.\d+ (ok|short)$`}, `\n`) + `\n\z`)
	if !want.Match(stdout.Bytes()) || strings.Contains(stderr.String(), "error:") {
		t.Fatalf("status %d, standard error: %s\n%s", status, &stderr, &stdout)
	}
	if short := strings.Contains(stdout.String(), " short\n"); short != (status == 1) {
		t.Errorf("status %d:\n%s", status, &stdout)
	}
	if !strings.Contains(stdout.String(), "plan of 19 acts") {
		t.Errorf("the plan is not of what is overdue and not held:\n%s", &stdout)
	}
}

// Bad flags are refused with the usage, and nothing is begun.
func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-disks", "999"}, {"-times", "0"}, {"more"}, {"-nothing"}} {
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), args, "/nowhere", time.Now, &stdout, &stderr); status != 2 || stdout.Len() > 0 {
			t.Errorf("%q: status %d, %s", args, status, &stdout)
		}
	}
}
