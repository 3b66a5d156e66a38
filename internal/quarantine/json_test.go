package quarantine_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// Durations are text in JSON, under snake_case names, and come back as they
// were.
func TestDurationsInJSON(t *testing.T) {
	st := quarantine.GuardStatus{
		Pool:    quarantine.Pool{PoolRef: vms, Cluster: "ceph", Cloud: "os", Guarded: true, Protect: protect},
		Setting: quarantine.GuardSetting{On: true, Expire: 36 * time.Hour},
	}
	b, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"protect":"3650d"`, `"expire":"1d12h"`, `"on":true`, `"cluster":"ceph"`, `"guarded":true`, `"fsid":"fsid-1"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s has no %s", b, want)
		}
	}
	var back quarantine.GuardStatus
	if err := json.Unmarshal(b, &back); err != nil || back != st {
		t.Errorf("%+v came back as %+v (%v)", st, back, err)
	}
}

// Any retention that a policy can give survives the record on the image.
func TestDecisionInJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := quarantine.Decision{Rule: "r", Retain: time.Duration(rapid.Int64Range(0, int64(5*365*day)).Draw(t, "retain"))}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var back quarantine.Decision
		if err := json.Unmarshal(b, &back); err != nil || back.Retain != d.Retain || back.Rule != d.Rule {
			t.Errorf("%s: %+v came back as %+v (%v)", b, d, back, err)
		}
	})
}
