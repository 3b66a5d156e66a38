package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// Whoever may look may check. The answer is a stream that ends with what was
// looked at, after a line for each finding.
func TestCheck(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	lines := func() []string {
		t.Helper()
		a := w.send(viewer, "GET", "/v1/doctor/deep", "")
		if a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return strings.Split(strings.TrimSpace(string(a.body)), "\n")
	}
	if got := lines(); len(got) != 2 || got[0] != `{"done":1,"total":1}` || !strings.Contains(got[1], `"result":{"rows":1,"entries":1,`) {
		t.Errorf("sound: %q", got)
	}
	w.ceph.CloudUnseal(d.Key)
	if got := lines(); len(got) != 3 || !strings.Contains(got[0], `"finding":{"kind":"no-seal","severity":"fault","disk":"`+d.ID) || !strings.Contains(got[2], `"faults":1`) {
		t.Errorf("without a seal: %q", got)
	}
}
