package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"quarantine/internal/quarantine"
)

// history makes up the disks of a large site: what died in the last hundred days,
// evenly, one in two of which was purged since.
type history struct {
	pool quarantine.PoolRef
	n    int
	now  time.Time
}

const (
	projects = 200
	users    = 1000
	// died is how far back the history goes.
	died = 100 * 24 * time.Hour
	// overdue disks are due for the first pass, a hundredth of a small history.
	overdue = 5000
)

func (h history) overdue() int { return min(overdue, h.n/100) }

// at returns the i-th disk, always the same. The first project has a tenth of
// all, the others share the rest; a disk in a thousand is held, one in a hundred
// is unexplained.
func (h history) at(i int) quarantine.Disk {
	r := rand.New(rand.NewPCG(1, uint64(i)))
	uuid := fmt.Sprintf("%08x-0000-4000-8000-%012x", r.Uint32(), i)
	key := h.pool.Key(fmt.Sprintf("%06x%08x", r.IntN(1<<24), i))
	deleted := h.now.Add(-died).Add(time.Duration(float64(died) * float64(i) / float64(h.n))).UTC().Truncate(time.Second)
	d := quarantine.Disk{
		ID: key.DiskID(), Key: key, OriginalName: uuid + "_disk", State: quarantine.Quarantined, Capture: quarantine.CaptureGuard,
		Role: "root", SizeBytes: int64(1+r.IntN(100)) << 30, UsedBytes: int64(r.IntN(1 << 30)), DeletedAt: deleted, QuarantinedAt: deleted.Add(3 * time.Second),
		ProtectedUntil: deleted.AddDate(10, 0, 0), RetainUntil: h.now.Add(time.Duration(1+r.IntN(30*24*60)) * time.Minute).UTC().Truncate(time.Second), Sealed: true,
		Decision: quarantine.Decision{Retain: 14 * 24 * time.Hour, Rule: "default", PolicyHash: fmt.Sprintf("%064x", 1), Reason: "no rule matched; default of default.yaml"},
	}
	switch {
	case i%2 == 0 && i < h.n/2:
		d.State, d.PurgedAt, d.Sealed = quarantine.Purged, deleted.Add(15*24*time.Hour), false
		d.RetainUntil = deleted.Add(14 * 24 * time.Hour)
	case i >= h.n/2 && i < h.n/2+h.overdue():
		d.RetainUntil = h.now.Add(-time.Hour).UTC().Truncate(time.Second)
	}
	if i%1000 == 7 {
		d.Holds = []quarantine.Hold{{CaseID: fmt.Sprint("CASE-", i%50_000), Reason: "an inquiry", By: "ada", PlacedAt: deleted.Add(time.Hour)}}
	}
	if i%100 != 3 {
		d.Deletion = deletion(r, i, uuid, deleted)
	}
	return d
}

// deletion is a server's, of about a kilobyte, as OpenStack's events and API tell
// it.
func deletion(r *rand.Rand, i int, uuid string, at time.Time) *quarantine.Deletion {
	p := 0
	if r.IntN(10) > 0 {
		p = 1 + r.IntN(projects-1)
	}
	u := p*users/projects + r.IntN(users/projects)
	who := quarantine.Principal{ID: fmt.Sprintf("%032x", u), Name: fmt.Sprint("user-", u), Domain: "science"}
	mac := fmt.Sprintf("fa:16:3e:%02x:%02x:%02x", i>>16&255, i>>8&255, i&255)
	return &quarantine.Deletion{
		ID: fmt.Sprintf("%016x", i), Cloud: cloudName, CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindDelete,
		ResourceKind: quarantine.ResourceVM, ResourceID: uuid, ResourceName: fmt.Sprint("web-", i),
		Project: quarantine.Principal{ID: fmt.Sprintf("%032x", 1<<20|p), Name: fmt.Sprint("project-", p), Domain: "science"},
		User:    who, Deleter: who, Flavor: "m1.large", Image: quarantine.Principal{ID: uuid, Name: "debian-12"},
		Host: fmt.Sprintf("node%d.example.org", r.IntN(500)), AvailabilityZone: "nova",
		Metadata: map[string]string{"role": "worker", "experiment": "one"}, Tags: []string{"batch"},
		Addresses: []quarantine.Address{
			{IP: fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255), MAC: mac, Network: "internal", PortID: uuid, Type: "fixed"}},
		KeyPair: "laptop", CreatedAt: at.Add(-time.Duration(1+r.IntN(10_000)) * time.Minute), StartedAt: at.Add(-2 * time.Second), EndedAt: at, ReceivedAt: at,
		Disks: []quarantine.DiskRef{{Pool: "vms", Name: uuid, Prefix: true}, {Pool: "vms", Name: uuid + "_disk", Role: "root"}},
	}
}
