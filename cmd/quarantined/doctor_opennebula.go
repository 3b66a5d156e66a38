package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	frontendfiles "quarantine/integration/opennebula"
	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// frontendAPI is what the doctor asks an OpenNebula front-end: *opennebula.API.
type frontendAPI interface {
	Name() string
	Datastores(ctx context.Context) ([]opennebula.Datastore, error)
	// Hooks are those that OpenNebula has.
	Hooks(ctx context.Context) ([]opennebula.Hook, error)
}

// theFrontend is a front-end's API, with its hooks.
type theFrontend struct {
	*opennebula.API
	*opennebula.HookInstaller
}

// frontend looks at a front-end's datastores and hooks.
func (d *cloudDoctor) frontend(ctx context.Context, f frontendAPI) []quarantine.Finding {
	subject := "api of " + f.Name()
	stores, err := f.Datastores(ctx)
	if err != nil {
		return []quarantine.Finding{fault(subject, "disks are kept, but nothing completes what is known of them, and no storage driver is answered: "+err.Error(), "look at clouds[].api in the configuration")}
	}
	out := []quarantine.Finding{ok(subject, fmt.Sprintf("answers, and has %d datastores on Ceph", len(stores)))}
	care := map[string]bool{}
	for _, p := range d.clusters.Pools() {
		if p.Cloud == "" || p.Cloud == f.Name() {
			care[p.PoolRef.String()] = true
		}
	}
	for _, s := range stores {
		pool := quarantine.PoolRef{Pool: s.Pool, Namespace: s.Namespace}.String()
		if !care[pool] {
			out = append(out, fault(subject, fmt.Sprintf("the datastore %s (%d) is in the pool %s, which is not in this service's care: its disks are lost when they are deleted", s.Name, s.ID, pool), "add the pool to clusters[].pools"))
		}
	}
	hooks, err := f.Hooks(ctx)
	if err != nil {
		return append(out, warn(subject, "its hooks cannot be looked at: "+err.Error(), "onehook list"))
	}
	return append(out, d.hooksMissing(subject, hooks)...)
}

// hooksMissing says which hooks are not there. None at all is a choice, where
// the event bus is listened to.
func (d *cloudDoctor) hooksMissing(subject string, have []opennebula.Hook) []quarantine.Finding {
	var missing []string
	for _, h := range frontendfiles.Hooks() {
		if !slices.ContainsFunc(have, func(o opennebula.Hook) bool { return o.Name == h.Name }) {
			missing = append(missing, h.Name)
		}
	}
	if len(missing) == 0 {
		return []quarantine.Finding{ok(subject, "its hooks are there")}
	}
	return []quarantine.Finding{warn(subject, "it has not the hooks "+strings.Join(missing, ", ")+": deletions are heard of later, from its API, or from its events where they are listened to",
		"quarantinectl opennebula install-hooks (on the front-end)")}
}
