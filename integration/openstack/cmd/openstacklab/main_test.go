package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// Wrong usage says how it is meant and ends with 2; a lab that is not there is
// an error. Nothing is started.
func TestUsage(t *testing.T) {
	t.Parallel()
	cli := func(args ...string) (int, string) {
		var out, errOut bytes.Buffer
		status := run(t.Context(), args, &out, &errOut)
		return status, errOut.String()
	}
	for _, args := range [][]string{{}, {"fly"}, {"up", "-height", "3"}, {"run"}, {"-h"}, {"supervise"}, {"neutron"}} {
		if status, stderr := cli(args...); status != 2 || !strings.Contains(stderr, "usage: openstacklab") {
			t.Errorf("%q ends with %d: %s", args, status, stderr)
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	for _, args := range [][]string{
		{"down", "-dir", none}, {"env", "-dir", none}, {"run", "-ceph", none, "--", "true"}, {"neutron", none}, {"supervise", none},
	} {
		if status, stderr := cli(args...); status != 1 || !strings.HasPrefix(stderr, "error: ") {
			t.Errorf("%q ends with %d: %s", args, status, stderr)
		}
	}
}
