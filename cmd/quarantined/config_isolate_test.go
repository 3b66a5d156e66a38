package main

import (
	"strings"
	"testing"
)

// The evidence pool is a guarded pool of no cloud, and none that a cloud has.
func TestEvidenceConfig(t *testing.T) {
	cc := clusterConfig{Name: "ceph", Pools: []poolConfig{{Name: "vms", Cloud: "os"}}}
	if err := cc.checkEvidence(); err != nil || len(cc.pools()) != 1 {
		t.Errorf("without one: %v, %v", err, cc.pools())
	}
	cc.Evidence = &evidenceConfig{Pool: "evidence", Namespace: "q"}
	if err := cc.checkEvidence(); err != nil {
		t.Error(err)
	}
	p := cc.pools()
	if len(p) != 2 || !p[1].Evidence || !p[1].Guarded || p[1].Cloud != "" || p[1].String() != "evidence/q" || p[0].Evidence {
		t.Errorf("the pools are %+v", p)
	}
	for _, bad := range []evidenceConfig{{}, {Pool: "vms"}, {Pool: "vms", Namespace: "q"}} {
		cc.Evidence = &bad
		if err := cc.checkEvidence(); err == nil || !strings.Contains(err.Error(), "evidence") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	var c isolateConfig
	c.defaults()
	if err := c.check(); err != nil {
		t.Error(err)
	}
	for _, bad := range []isolateConfig{{MaxDisks: -1, BytesPerSecond: 64 << 20}, {MaxDisks: 1, BytesPerSecond: 1000}} {
		if bad.check() == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
