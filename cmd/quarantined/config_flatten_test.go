package main

import "testing"

// The flatten job has defaults, and a rate at which Ceph would lose patience is
// refused.
func TestFlattenConfig(t *testing.T) {
	t.Parallel()
	var c flattenConfig
	c.defaults()
	if err := c.check(); err != nil || c.MaxDisks != 20 || c.BytesPerSecond != 64<<20 || c.Schedule == "" {
		t.Errorf("defaults: %+v, %v", c, err)
	}
	for _, bad := range []flattenConfig{{MaxDisks: -1, BytesPerSecond: 64 << 20}, {MaxDisks: 1, BytesPerSecond: 1000}} {
		if bad.check() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
