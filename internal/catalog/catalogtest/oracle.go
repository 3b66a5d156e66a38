package catalogtest

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// selects says what quarantine.DiskFilter says, in the plainest way.
func selects(f quarantine.DiskFilter, d quarantine.Disk) bool {
	var del quarantine.Deletion
	if d.Deletion != nil {
		del = *d.Deletion
	}
	isP := func(want string, ps ...quarantine.Principal) bool {
		return want == "" || slices.ContainsFunc(ps, func(p quarantine.Principal) bool { return p.ID == want || p.Name == want })
	}
	vm := []string{del.ServerID}
	if del.ResourceKind == quarantine.ResourceVM {
		vm = append(vm, del.ResourceID, del.ResourceName)
	}
	isVM := f.VM == "" || slices.Contains(vm, f.VM)
	hasAddress := f.Address == "" || slices.ContainsFunc(del.Addresses, func(a quarantine.Address) bool { return a.IP == f.Address || a.MAC == f.Address })
	hasCase := f.CaseID == "" || slices.ContainsFunc(d.OpenHolds(), func(h quarantine.Hold) bool { return h.CaseID == f.CaseID })
	isPrefix := f.NamePrefix == "" || (quarantine.DiskRef{Name: f.NamePrefix, Prefix: true}).Matches(d.Key.PoolRef(), d.OriginalName)
	bit := func(want *bool, is bool) bool { return want == nil || *want == is }
	due := func(before, at time.Time) bool { return before.IsZero() || !at.IsZero() && !at.After(before) }
	return (len(f.States) == 0 || slices.Contains(f.States, d.State)) &&
		(f.Pool == nil || *f.Pool == d.Key.PoolRef()) &&
		(len(f.OriginalNames) == 0 || slices.Contains(f.OriginalNames, d.OriginalName)) &&
		isPrefix && (f.Cloud == "" || del.Cloud == f.Cloud) &&
		isP(f.Project, del.Project) && isP(f.User, del.User, del.Deleter) && isVM && hasAddress && hasCase &&
		(f.Group == nil || d.Deletion != nil && f.Group.Cloud == del.Cloud && f.Group.ProjectID == del.Project.ID &&
			(f.Group.Resource == "" || f.Group.Resource == del.ResourceName)) &&
		bit(f.Held, d.Held()) && (!f.Unexplained || d.Deletion == nil) && bit(f.Isolate, d.WantsCopy()) &&
		(!f.HoldsUnchecked || d.HoldsUnchecked) && (!f.RecordStale || d.RecordStale) && (!f.Unmeasured || d.UsedBytes == -1) && bit(f.Sealed, d.Sealed) &&
		(!f.SealBroken || !d.SealBrokenAt.IsZero()) &&
		(f.Seal == nil || d.SealID != 0 && f.Seal.FSID == d.Key.FSID && f.Seal.ID == d.SealID) &&
		(f.DeletedFrom.IsZero() || !d.DeletedAt.Before(f.DeletedFrom)) && (f.DeletedTo.IsZero() || d.DeletedAt.Before(f.DeletedTo)) &&
		due(f.RetainBefore, d.RetainUntil) && due(f.ExpiringBefore, d.ExpiringAt) && strings.HasPrefix(d.ID, f.IDPrefix)
}

// ordered sorts as the filter says and cuts the page out.
func ordered(f quarantine.DiskFilter, ds []quarantine.Disk) []quarantine.Disk {
	word := func(d quarantine.Disk) string {
		del := quarantine.Deletion{}
		if d.Deletion != nil {
			del = *d.Deletion
		}
		return map[string]string{"original_name": d.OriginalName, "resource_name": del.ResourceName, "project": del.Project.Label(),
			"user": del.User.Label(), "state": string(d.State)}[f.Sort]
	}
	at := func(d quarantine.Disk) time.Time {
		return map[string]time.Time{"": d.DeletedAt, "deleted_at": d.DeletedAt, "quarantined_at": d.QuarantinedAt, "retain_until": d.RetainUntil}[f.Sort]
	}
	size := func(d quarantine.Disk) int64 { return map[string]int64{"size_bytes": d.SizeBytes}[f.Sort] }
	slices.SortFunc(ds, func(a, b quarantine.Disk) int {
		c := cmp.Or(at(a).Compare(at(b)), cmp.Compare(size(a), size(b)), cmp.Compare(word(a), word(b)), cmp.Compare(a.ID, b.ID))
		if f.Desc {
			return -c
		}
		return c
	})
	ds = ds[min(f.Offset, len(ds)):]
	if f.Limit > 0 {
		ds = ds[:min(f.Limit, len(ds))]
	}
	return ds
}

// The few words that disks and filters are drawn from, so that they meet.
func word(t *rapid.T, label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }

func moment(t *rapid.T, label string) time.Time {
	if n := rapid.IntRange(0, 4).Draw(t, label); n > 0 {
		return t0.Add(time.Duration(n) * time.Second)
	}
	return time.Time{}
}

func anyDisk(t *rapid.T, id string) quarantine.Disk {
	principal := func(label string) quarantine.Principal {
		return quarantine.Principal{ID: word(t, label+" id", "", "1", "2"), Name: word(t, label+" name", "", "ann", "bob", "1")}
	}
	d := quarantine.Disk{
		ID:           id,
		Key:          quarantine.Key{FSID: "f", Pool: word(t, "pool", "vms", "volumes"), Namespace: word(t, "namespace", "", "n"), ImageID: id},
		OriginalName: word(t, "name", "u", "u_disk", "u-1", "u.x", "u@s", "u/", "u0", "ux", "v", "u_disk.eph0", "U_disk", "uA", "u`"),
		State:        rapid.SampledFrom(quarantine.States()).Draw(t, "state"),
		SizeBytes:    rapid.Int64Range(0, 3).Draw(t, "size"), UsedBytes: rapid.Int64Range(-1, 1).Draw(t, "used"),
		DeletedAt: moment(t, "deleted"), QuarantinedAt: moment(t, "quarantined"), RetainUntil: moment(t, "retain"), ExpiringAt: moment(t, "expiring"),
		Sealed: rapid.Bool().Draw(t, "sealed"), RecordStale: rapid.Bool().Draw(t, "stale"), HoldsUnchecked: rapid.Bool().Draw(t, "unchecked"),
		SealID: rapid.Uint64Range(0, 2).Draw(t, "seal"), SealBrokenAt: moment(t, "broken"),
	}
	d.Decision.Isolate = rapid.Bool().Draw(t, "isolate")
	for range rapid.IntRange(0, 2).Draw(t, "holds") {
		d.Holds = append(d.Holds, quarantine.Hold{CaseID: word(t, "case", "c1", "c2"), Released: moment(t, "released")})
	}
	if rapid.Bool().Draw(t, "explained") {
		del := quarantine.Deletion{
			ID: "del", Cloud: word(t, "cloud", "east", "west"), Kind: quarantine.KindDelete,
			ResourceKind: rapid.SampledFrom([]quarantine.ResourceKind{quarantine.ResourceVM, quarantine.ResourceVolume}).Draw(t, "kind"),
			ResourceID:   word(t, "resource", "id1", "id2"), ResourceName: word(t, "resource name", "", "web", "id1"),
			ServerID: word(t, "server", "", "id1", "id3"), Project: principal("project"), User: principal("user"), Deleter: principal("deleter"),
		}
		for range rapid.IntRange(0, 2).Draw(t, "addresses") {
			del.Addresses = append(del.Addresses, quarantine.Address{IP: word(t, "ip", "", "192.0.2.1", "2001:db8::1"), MAC: word(t, "mac", "", "fa:16:3e:00:00:01")})
		}
		d.Deletion = &del
	}
	return d
}

// anyFilter draws a filter with about two conditions.
func anyFilter(t *rapid.T) quarantine.DiskFilter {
	var f quarantine.DiskFilter
	flag := func() *bool { b := rapid.Bool().Draw(t, "flag"); return &b }
	conditions := []func(){
		func() { f.States = rapid.SliceOfN(rapid.SampledFrom(quarantine.States()), 0, 4).Draw(t, "states") },
		func() {
			f.Pool = &quarantine.PoolRef{FSID: word(t, "fsid", "f", "g"), Pool: word(t, "pool", "vms", "volumes"), Namespace: word(t, "namespace", "", "n")}
		},
		func() {
			f.OriginalNames = rapid.SliceOfN(rapid.SampledFrom([]string{"u", "u_disk", "v", "none"}), 0, 3).Draw(t, "names")
		},
		func() { f.NamePrefix = word(t, "prefix", "u", "u_disk", "v", "u_") },
		func() { f.Cloud = word(t, "cloud", "east", "north") },
		func() { f.Project = word(t, "project", "1", "ann") },
		func() { f.User = word(t, "user", "1", "ann", "bob") },
		func() { f.VM = word(t, "vm", "id1", "id2", "id3", "web") },
		func() { f.Address = word(t, "address", "192.0.2.1", "2001:db8::1", "fa:16:3e:00:00:01", "192.0.2.2") },
		func() { f.CaseID = word(t, "case", "c1", "c3") },
		func() { f.Held = flag() },
		func() {
			f.Group = &quarantine.Group{Cloud: word(t, "group cloud", "east", "west"), ProjectID: word(t, "group project", "", "1", "2"), Resource: word(t, "group name", "", "web")}
		},
		func() { f.Unexplained = true },
		func() { f.Isolate = flag() },
		func() { f.RecordStale = true },
		func() { f.HoldsUnchecked = true },
		func() { f.Unmeasured = true },
		func() { f.Sealed = flag() },
		func() { f.SealBroken = true },
		func() {
			f.Seal = &quarantine.SealRef{FSID: word(t, "fsid", "f", "g"), Pool: word(t, "pool", "vms", "volumes"), ID: rapid.Uint64Range(0, 2).Draw(t, "seal")}
		},
		func() { f.DeletedFrom = moment(t, "from") },
		func() { f.DeletedTo = moment(t, "to") },
		func() { f.RetainBefore = moment(t, "retain") },
		func() { f.ExpiringBefore = moment(t, "expiring") },
		func() { f.IDPrefix = word(t, "id", "d", "d1", "d12", "e") },
	}
	for range rapid.IntRange(0, 3).Draw(t, "conditions") {
		rapid.SampledFrom(conditions).Draw(t, "condition")()
	}
	f.Sort = word(t, "sort", "", "deleted_at", "quarantined_at", "retain_until", "size_bytes", "original_name", "resource_name", "project", "user", "state")
	f.Desc = rapid.Bool().Draw(t, "desc")
	f.Limit = rapid.IntRange(0, 5).Draw(t, "limit")
	f.Offset = rapid.IntRange(0, 5).Draw(t, "offset")
	return f
}
