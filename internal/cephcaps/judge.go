package cephcaps

import (
	"fmt"
	"strings"
)

// Verdict is what there is to say about one key, or several of a kind, that
// could switch the guard of a pool off.
type Verdict struct {
	Entities []string // "client.openstack-classic"
	Problem  string
	// Own: the service's own key, which must be able to.
	Own bool
	// Narrow: narrower caps would do for what such a key is for, and
	// `quarantinectl ceph caps` prints them.
	Narrow bool
}

// Judge returns a verdict for every client's key that could switch the guard of
// any of the pools off. Pools are written "pool" or "pool/namespace"; the guard
// is the pool's. own is the service's entity. Ceph's own daemons are passed
// over: they may do anything by their nature.
func Judge(keys []Key, pools []string, own string) []Verdict {
	var verdicts []Verdict
	var bootstrap []string
	for _, k := range keys {
		reached, why := reach(k, pools)
		if len(reached) == 0 {
			continue
		}
		if strings.HasPrefix(k.Entity, "client.bootstrap-") {
			bootstrap = append(bootstrap, k.Entity)
			continue
		}
		v := Verdict{Entities: []string{k.Entity}}
		switch {
		case k.Entity == own:
			v.Own, v.Problem = true, "this service's own key, which sets the guard; let nobody else have it"
		case k.Caps == AuditCaps():
			v.Problem = "an audit key, which reads every key of the cluster; let nobody but this service have it"
		case k.Entity == "client.admin", strings.HasPrefix(strings.TrimSpace(k.Caps.Mon), "allow *"):
			v.Problem = "an admin's key, which may do anything; let no cloud have it"
		default:
			v.Narrow, v.Problem = true, fmt.Sprintf("could switch off the guard of %s: %s", strings.Join(reached, ", "), why)
		}
		verdicts = append(verdicts, v)
	}
	if len(bootstrap) > 0 {
		verdicts = append(verdicts, Verdict{Entities: bootstrap, Problem: "with them Ceph makes the keys of its daemons, which may do anything; let no cloud have them"})
	}
	return verdicts
}

// reach returns the pools whose guard the key could switch off, and by which
// part of its caps.
func reach(k Key, pools []string) (reached []string, why string) {
	if !k.IsClient() {
		return nil, ""
	}
	for _, p := range pools {
		pool, _, _ := strings.Cut(p, "/")
		if can, how := CanSwitchOff(k.Caps, pool); can {
			reached, why = append(reached, p), how
		}
	}
	return reached, why
}
