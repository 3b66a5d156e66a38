package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"quarantine/internal/openstack"
	"quarantine/internal/quarantine"
)

// cloudDoctor looks at what can be seen of the clouds from outside: their APIs,
// their message buses, and the traces of their settings in the trash.
type cloudDoctor struct {
	clusters quarantine.Clusters
	apis     []openstackAPI
	// frontends are those of OpenNebula.
	frontends []frontendAPI
	buses     []busView
	// schedules reads a pool's trash purge schedules, deferred tells which
	// pools had entries with a protection of their own.
	schedules func(ctx context.Context, pool quarantine.PoolRef) ([]string, error)
	deferred  func() map[quarantine.PoolRef]time.Time
	clock     quarantine.Clock
}

// openstackAPI is what the doctor asks an OpenStack cloud's API: *openstack.API.
type openstackAPI interface {
	Name() string
	Facts(ctx context.Context) (openstack.Facts, error)
	Dead(ctx context.Context, since time.Time, each func(quarantine.Deletion) error) error
}

// busView is what the doctor sees of a message bus.
type busView struct {
	name, cloud string
	queues      func(ctx context.Context) ([]openstack.Queue, error)
	// missing are the exchanges that do not exist and may not be made.
	missing func() []string
	// heard is when Nova's last event about a server came; zero: none since the
	// daemon started.
	heard   func() time.Time
	started time.Time
}

const (
	// silence is how long Nova may tell of no server while servers die; a cloud's
	// own queues may delay them by settle.
	silence = 30 * time.Minute
	settle  = 2 * time.Minute
	// grown is how many messages wait in a shared queue that nobody reads.
	grown = 10_000
)

func (d *cloudDoctor) look(ctx context.Context) ([]quarantine.Finding, error) {
	out := d.pools(ctx)
	for _, a := range d.apis {
		out = append(out, d.api(ctx, a)...)
	}
	for _, f := range d.frontends {
		out = append(out, d.frontend(ctx, f)...)
	}
	deaf := map[string]bool{} // of these clouds nothing can be heard anyway
	for _, b := range d.buses {
		found, answers := d.bus(ctx, b)
		out = append(out, found...)
		deaf[b.cloud] = deaf[b.cloud] || !answers
	}
	for _, a := range d.apis {
		if !deaf[a.Name()] {
			out = append(out, d.mute(ctx, a)...)
		}
	}
	return out, ctx.Err()
}

// pools looks for what would fight with the quarantine over the trash.
func (d *cloudDoctor) pools(ctx context.Context) []quarantine.Finding {
	var out []quarantine.Finding
	deferred := d.deferred()
	for _, p := range d.clusters.Pools() {
		subject := "pool " + p.PoolRef.String()
		schedules, err := d.schedules(ctx, p.PoolRef)
		switch {
		case err != nil:
			out = append(out, warn(subject, "its trash purge schedules cannot be read: "+err.Error(), "ceph -s"))
		case len(schedules) > 0:
			out = append(out, warn(subject, "Ceph purges its trash by a schedule ("+strings.Join(schedules, ", ")+"): an entry without protection can go before it is adopted", "rbd trash purge schedule ls --pool "+p.Pool+" --recursive"))
		}
		if at, ok := deferred[p.PoolRef]; ok {
			out = append(out, warn(subject, "a disk came at "+at.Format(time.RFC3339)+" that was moved to the trash for a time of its own, not removed; it was protected anew", "look at enable_deferred_deletion of Cinder, CEPH_TRASH of OpenNebula, and who runs rbd trash mv"))
		}
	}
	return out
}

// api looks at a cloud's services and at the credential.
func (d *cloudDoctor) api(ctx context.Context, a openstackAPI) []quarantine.Finding {
	subject := "api of " + a.Name()
	f, err := a.Facts(ctx)
	if err != nil {
		return []quarantine.Finding{fault(subject, "disks are kept, but nothing completes what is known of them: "+err.Error(), "look at clouds[].api in the configuration")}
	}
	out := []quarantine.Finding{ok(subject, fmt.Sprintf("answers to %s as %s", f.User.Label(), strings.Join(f.Roles, ", ")))}
	if !slices.Contains(f.Roles, "admin") {
		out = append(out, warn(subject, "the credential has not the role admin: it sees its own project only", "openstack role add --user "+f.User.Label()+" --project "+f.Project.Label()+" admin"))
	} else if !f.Names {
		out = append(out, warn(subject, "Keystone does not tell the credential the names of users and projects: disks are known by ids", "give it a role that may list users"))
	}
	for _, s := range f.Services {
		if s.Enabled && !s.Up && (s.Binary == "nova-compute" || s.Binary == "cinder-volume") {
			out = append(out, warn(subject, s.Binary+" on "+s.Host+" is down: disks that are deleted there stay live until it is back", "openstack compute service list; openstack volume service list"))
		}
	}
	care := map[quarantine.PoolRef]bool{}
	for _, p := range d.clusters.Pools() {
		care[p.PoolRef] = true
	}
	for _, v := range f.Volumes {
		switch {
		case v.Pool != nil && !care[*v.Pool]:
			out = append(out, fault(subject, "Cinder keeps volumes in the pool "+v.Pool.String()+" ("+v.Name+"), which is not in this service's care: they are lost when they are deleted", "add the pool to clusters[].pools"))
		case v.Pool == nil && v.Protocol == "ceph":
			out = append(out, warn(subject, "Cinder does not tell in which pool "+v.Name+" keeps its volumes", "set clouds[].api.volume_pools"))
		}
	}
	if f.Images != nil && !care[*f.Images] {
		out = append(out, warn(subject, "Glance keeps images in the pool "+f.Images.String()+", which is not in this service's care: deleted images are lost", "add the pool to clusters[].pools"))
	}
	return out
}

// bus looks at the exchanges and queues of a message bus, and reports whether it
// answers.
func (d *cloudDoctor) bus(ctx context.Context, b busView) (out []quarantine.Finding, answers bool) {
	subject := "notifications of " + b.name
	queues, err := b.queues(ctx)
	if err != nil {
		return []quarantine.Finding{warn(subject, "its queues cannot be looked at: "+err.Error(), "look at the daemon's log")}, false
	}
	for _, exchange := range b.missing() {
		out = append(out, warn(subject, "the exchange "+exchange+" does not exist, and the service may not make it: nothing that is published there is heard of",
			"it is made by the first service that notifies there; leave it out of clouds[].notifications.exchanges if none does"))
	}
	for _, q := range queues {
		switch {
		case q.Role == openstack.RoleOwn && q.Consumers > 1:
			out = append(out, warn(subject, fmt.Sprintf("%d consumers take from the queue %s; each daemon that shares it is one, and any other steals", q.Consumers, q.Name), "rabbitmqctl list_consumers"))
		case q.Role == openstack.RoleDead && q.Messages > 0:
			out = append(out, warn(subject, fmt.Sprintf("%d messages could not be read; they are in the queue %s", q.Messages, q.Name), "look at the daemon's log, and purge the queue when they are understood"))
		case q.Role == openstack.RoleShared && q.Consumers == 0 && q.Messages > grown:
			out = append(out, warn(subject, fmt.Sprintf("%d messages wait in the queue %s, which the cloud's services made and nobody reads; it grows until the broker is full", q.Messages, q.Name), "set a policy with max-length for it on the broker"))
		}
	}
	return out, true
}

// mute compares what Nova told on the cloud's buses, all together, with its
// database: it publishes each cell's events on the bus of that cell, and a cell
// may have nothing to tell. What other services publish does not count.
func (d *cloudDoctor) mute(ctx context.Context, a openstackAPI) []quarantine.Finding {
	now := d.clock()
	from, to := now.Add(-silence), now.Add(-settle)
	buses := 0
	for _, b := range d.buses {
		if b.cloud != a.Name() {
			continue
		}
		buses++
		if b.started.After(from) || b.heard().After(from) {
			return nil // too early to say, or not mute
		}
	}
	if buses == 0 {
		return nil
	}
	dead := 0
	err := a.Dead(ctx, from, func(del quarantine.Deletion) error {
		if at := del.FirstSign(); at.After(from) && at.Before(to) {
			dead++
		}
		return nil
	})
	if err != nil || dead == 0 {
		return nil // the API has a finding of its own
	}
	return []quarantine.Finding{fault("notifications of "+a.Name(), fmt.Sprintf("Nova told of no server for %s, and %d servers were deleted meanwhile: it does not notify, or not there", silence, dead),
		"set driver = messagingv2 in [oslo_messaging_notifications] of nova.conf and cinder.conf, and look at its transport_url and topics")}
}
