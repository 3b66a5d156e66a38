package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"quarantine/internal/openstack"
	"quarantine/internal/quarantine"
)

// patient is a cloud's API, a bus and a cluster as the doctor sees them.
type patient struct {
	facts    openstack.Facts
	err      error
	dead     []quarantine.Deletion
	queues   []openstack.Queue
	queueErr error
	heard    []time.Time // of servers, on the bus of each cell
	missing  []string
	started  time.Time
	plans    []string
	deferred map[quarantine.PoolRef]time.Time
}

func (p *patient) Name() string { return "os" }

func (p *patient) Facts(context.Context) (openstack.Facts, error) { return p.facts, p.err }

func (p *patient) Dead(_ context.Context, _ time.Time, each func(quarantine.Deletion) error) error {
	for _, d := range p.dead {
		if err := each(d); err != nil {
			return err
		}
	}
	return p.err
}

func (p *patient) Pools() []quarantine.Pool {
	return []quarantine.Pool{{PoolRef: quarantine.PoolRef{FSID: "f", Pool: "vms"}, Cloud: "os", Guarded: true}}
}

func (p *patient) Health(context.Context, string) (quarantine.Health, error) {
	return quarantine.Health{}, nil
}

func (p *patient) Load(context.Context, string) (quarantine.Load, error) {
	return quarantine.Load{}, nil
}

// The doctor says what it sees of a cloud that is not well, how bad it is, and
// nothing of one that is.
func TestCloudDoctor(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	vms, other := quarantine.PoolRef{FSID: "f", Pool: "vms"}, quarantine.PoolRef{FSID: "f", Pool: "fast"}
	died := func(ago time.Duration) []quarantine.Deletion {
		return []quarantine.Deletion{{ID: "x", StartedAt: now.Add(-ago)}}
	}
	for name, c := range map[string]struct {
		ill      func(p *patient)
		severity quarantine.Severity // of the one finding beside the ok; "": none
		says     string
	}{
		"well":                  {func(*patient) {}, "", ""},
		"API down":              {func(p *patient) { p.err = quarantine.ErrUnavailable }, quarantine.SeverityFault, "nothing completes"},
		"no admin":              {func(p *patient) { p.facts.Roles = []string{"reader"} }, quarantine.SeverityWarn, "role admin"},
		"no names":              {func(p *patient) { p.facts.Names = false }, quarantine.SeverityWarn, "known by ids"},
		"compute down":          {func(p *patient) { p.facts.Services[0].Up = false }, quarantine.SeverityWarn, "nova-compute on node1 is down"},
		"compute disabled":      {func(p *patient) { p.facts.Services[0].Up, p.facts.Services[0].Enabled = false, false }, "", ""},
		"volumes elsewhere":     {func(p *patient) { p.facts.Volumes[0].Pool = &other }, quarantine.SeverityFault, "not in this service's care"},
		"volumes nobody knows":  {func(p *patient) { p.facts.Volumes[0].Pool = nil }, quarantine.SeverityWarn, "does not tell in which pool"},
		"volumes not on Ceph":   {func(p *patient) { p.facts.Volumes[0] = openstack.PoolFact{Name: "lvm", Protocol: "iSCSI"} }, "", ""},
		"images elsewhere":      {func(p *patient) { p.facts.Images = &other }, quarantine.SeverityWarn, "deleted images are lost"},
		"purge schedule":        {func(p *patient) { p.plans = []string{"every day"} }, quarantine.SeverityWarn, "every day"},
		"deferred deletion":     {func(p *patient) { p.deferred = map[quarantine.PoolRef]time.Time{vms: now} }, quarantine.SeverityWarn, "protected anew"},
		"another consumer":      {func(p *patient) { p.queues[0].Consumers = 2 }, quarantine.SeverityWarn, "steals"},
		"dead letters":          {func(p *patient) { p.queues[1].Messages = 1 }, quarantine.SeverityWarn, "could not be read"},
		"a queue grows":         {func(p *patient) { p.queues[2].Messages = grown + 1 }, quarantine.SeverityWarn, "nobody reads"},
		"a queue is read":       {func(p *patient) { p.queues[2].Messages, p.queues[2].Consumers = grown+1, 1 }, "", ""},
		"broker down":           {func(p *patient) { p.queueErr = errors.New("refused") }, quarantine.SeverityWarn, "cannot be looked at"},
		"silent, servers died":  {func(p *patient) { p.heard[0], p.dead = now.Add(-time.Hour), died(10*time.Minute) }, quarantine.SeverityFault, "1 servers were deleted"},
		"silent since ever":     {func(p *patient) { p.heard[0], p.dead = time.Time{}, died(10*time.Minute) }, quarantine.SeverityFault, "does not notify"},
		"silent, nobody died":   {func(p *patient) { p.heard[0] = now.Add(-time.Hour) }, "", ""},
		"silent, died just now": {func(p *patient) { p.heard[0], p.dead = now.Add(-time.Hour), died(time.Minute) }, "", ""},
		"one cell is quiet": {func(p *patient) {
			p.heard, p.dead = []time.Time{{}, now.Add(-time.Minute), now.Add(-time.Hour)}, died(10*time.Minute)
		}, "", ""},
		"all cells are mute": {func(p *patient) { p.heard, p.dead = []time.Time{{}, now.Add(-time.Hour)}, died(10*time.Minute) }, quarantine.SeverityFault, "Nova told of no server"},
		"no exchange":        {func(p *patient) { p.missing = []string{"glance"} }, quarantine.SeverityWarn, "exchange glance does not exist"},
		"mute, broker down": {func(p *patient) {
			p.heard[0], p.dead, p.queueErr = time.Time{}, died(10*time.Minute), errors.New("refused")
		}, quarantine.SeverityWarn, "cannot be looked at"},
		"no bus": {func(p *patient) { p.heard, p.dead = nil, died(10*time.Minute) }, "", ""},
		"just started": {func(p *patient) {
			p.heard[0], p.started, p.dead = time.Time{}, now.Add(-time.Minute), died(10*time.Minute)
		}, "", ""},
	} {
		p := &patient{
			facts: openstack.Facts{
				Roles: []string{"admin"}, Names: true,
				Services: []openstack.ServiceFact{{Binary: "nova-compute", Host: "node1", Enabled: true, Up: true}},
				Volumes:  []openstack.PoolFact{{Name: "node1@ceph#ceph", Protocol: "ceph", Up: true, Pool: &vms}}, Images: &vms,
			},
			queues: []openstack.Queue{{Name: "q", Role: openstack.RoleOwn, Consumers: 1}, {Name: "q.dead", Role: openstack.RoleDead}, {Name: "notifications.info", Role: openstack.RoleShared}},
			heard:  []time.Time{now.Add(-time.Minute)}, started: now.Add(-24 * time.Hour),
		}
		c.ill(p)
		d := &cloudDoctor{
			clusters: p, apis: []openstackAPI{p}, clock: func() time.Time { return now },
			schedules: func(context.Context, quarantine.PoolRef) ([]string, error) { return p.plans, nil },
			deferred:  func() map[quarantine.PoolRef]time.Time { return p.deferred },
		}
		for _, heard := range p.heard {
			d.buses = append(d.buses, busView{
				name: "os", cloud: "os", started: p.started,
				heard: func() time.Time { return heard }, missing: func() []string { return p.missing },
				queues: func(context.Context) ([]openstack.Queue, error) { return p.queues, p.queueErr },
			})
		}
		found, err := d.look(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var said []quarantine.Finding
		for _, f := range found {
			if f.Severity != quarantine.SeverityOK {
				said = append(said, f)
			}
		}
		switch {
		case c.severity == "" && len(said) > 0, c.severity != "" && len(said) != 1:
			t.Errorf("%s: %+v", name, said)
		case c.severity != "" && (said[0].Severity != c.severity || !strings.Contains(said[0].Problem, c.says) || said[0].Hint == ""):
			t.Errorf("%s: %+v", name, said[0])
		}
	}
}
