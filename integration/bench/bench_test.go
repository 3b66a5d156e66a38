package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
)

// line is the form of a measure in the bench's output.
var line = regexp.MustCompile(`^([a-z0-9_]+) (\d+\.\d+) (ratio|ratio-max|msg/s|MB|x|VMs|ms|epochs|disks|disks/h) bar (\d+\.\d+) (ok|short)$`)

// TestMain lets the test binary be the listening process that the bench starts
// of itself; without it that process would run the tests again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == consumeCommand {
		os.Exit(run(context.Background(), os.Args[1:], "", time.Now, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// The bench runs to its end on a real Ceph and closes with one line for every
// measure, in the documented form, whose word and exit status follow from the
// value and the bar. What the values are is not for a test on a busy machine.
func TestQuickBench(t *testing.T) {
	t.Parallel()
	quickly(t, []string{"-oslo=false", "-recordings", "../../internal/openstack/testdata/recordings"}, []string{
		"adopt_vs_bare_32", "adopt_vs_bare_64", "adopt_vs_shell", "purge_vs_bare_32", "purge_vs_bare_64",
		"purge_vs_trash_purge", "adopt_epochs_per_1000", "purge_epochs_per_1000", "pace_missed_by", "client_latency_growth", "adopt_under_collect",
		"collect_vs_bare", "collect_vs_trash_purge", "collect_vs_bare_far", "collect_vs_trash_purge_far", "epochs_per_1000_seals", "epochs_per_1000_unseals", "terminates_per_minute", "hook_cpu", "decode_per_second",
		"consume_rate", "consume_rss",
	})
}

// So does the one of adoptions in bursts, which takes as long as it is told.
func TestQuickBenchOfBursts(t *testing.T) {
	t.Parallel()
	quickly(t, []string{"-sustained", "3s"}, []string{"sustained_adopt", "sustained_lost", "sustained_memory", "sustained_epochs_per_1000"})
}

func quickly(t *testing.T, args, measures []string) {
	t.Helper()
	lab := cephlab.Shared(t)
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), append(args, "-quick", "-policies", "../../policies/default.yaml"), lab.Dir, time.Now, &stdout, &stderr)
	if stderr.Len() > 0 {
		t.Fatalf("status %d, standard error: %s", status, &stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	if len(lines) < len(measures) {
		t.Fatalf("the output is too short:\n%s", &stdout)
	}
	short := 0
	for i, l := range lines[len(lines)-len(measures):] {
		m := line.FindStringSubmatch(l)
		if m == nil || m[1] != measures[i] {
			t.Errorf("line %q, want the measure %s", l, measures[i])
			continue
		}
		if m[5] == "short" {
			short = 1
		}
	}
	if status != short {
		t.Errorf("status %d; a measure is short: %t", status, short == 1)
	}
	for _, word := range []string{"cores", "memory", "kernel", "ceph version", "load average"} {
		if !strings.Contains(stdout.String(), word) {
			t.Errorf("the output does not tell the machine's %s", word)
		}
	}
}

// Without recordings there is no rate to report, and that is an error.
func TestNoRecordings(t *testing.T) {
	t.Parallel()
	if s, err := recordings(t.TempDir()); err == nil {
		t.Errorf("an empty directory gives %+v", s)
	}
}

// A lab that is not there and wrong flags are errors with a reason, and not
// short measures.
func TestFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"no such lab", []string{"-lab", t.TempDir()}, 1, "error: open the lab"},
		{"no lab at all", nil, 2, "usage:"},
		{"unknown flag", []string{"-slow"}, 2, "-slow"},
		{"an argument", []string{"-lab", "x", "y"}, 2, "usage:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			if got := run(t.Context(), c.args, "", time.Now, &stdout, &stderr); got != c.status {
				t.Errorf("status %d, want %d", got, c.status)
			}
			if !strings.Contains(stderr.String(), c.want) {
				t.Errorf("standard error %q, want %q in it", &stderr, c.want)
			}
		})
	}
}
