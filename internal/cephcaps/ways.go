package cephcaps

import "strings"

// Way is a key that could switch the guard of pools off.
type Way struct {
	Entity string // "client.openstack-classic"
	Pools  []string
	// Why names the part of its caps.
	Why string
}

// Ways returns the clients' keys, in the order of the list, that could switch
// the guard of any of the pools off. Pools are written "pool" or
// "pool/namespace"; the guard is the pool's. Ceph's own daemons are passed
// over: they may do anything by their nature.
func Ways(keys []Key, pools []string) []Way {
	var ways []Way
	for _, k := range keys {
		if !k.IsClient() {
			continue
		}
		w := Way{Entity: k.Entity}
		for _, p := range pools {
			pool, _, _ := strings.Cut(p, "/")
			if can, why := CanSwitchOff(k.Caps, pool); can {
				w.Pools, w.Why = append(w.Pools, p), why
			}
		}
		if len(w.Pools) > 0 {
			ways = append(ways, w)
		}
	}
	return ways
}
