package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	cephlab "quarantine/integration/ceph"
)

// A guard that somebody switches off on the real Ceph, with no run of the job
// before the end of the year, is in the metrics and in the custody log within a
// few looks of the watch; and so is its return.
func TestGuardWatch(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	s.configure("watch: 1m", "watch: 200ms")
	p := s.start()
	gauge := "quarantine_guard_ok{pool=\"" + s.spec + "\"} "
	told := func(value, act string) {
		t.Helper()
		eventually(t, act, func() error {
			resp, err := http.Get("http://" + p.addr + "/metrics")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			metrics, err := io.ReadAll(resp.Body)
			if err != nil || !strings.Contains(string(metrics), gauge+value+"\n") {
				return fmt.Errorf("the metrics do not have %s%s: %w", gauge, value, err)
			}
			log, err := os.ReadFile(filepath.Join(s.dir, "state", "custody.jsonl"))
			if err != nil || !strings.Contains(string(log), act) {
				return fmt.Errorf("the custody log does not have %s: %w", act, err)
			}
			return nil
		})
	}
	told("1", "")
	for _, step := range []struct{ option, gauge, act string }{{"false", "0", "guard-lost"}, {"true", "1", "guard-found"}} {
		if _, err := s.lab.RBD(s.ctx, cephlab.Quarantine, "config", "pool", "set", s.spec, "rbd_move_to_trash_on_remove", step.option); err != nil {
			t.Fatal(err)
		}
		told(step.gauge, step.act)
	}
	p.stop()
}
