package main

import (
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

const fsid = "5b0e9a52-0c5e-4a52-9d0b-0f3c1f6f2a11"

// The ids of the daemon's disks.
const (
	webID    = "3fa1c09be2d47a55" // a VM's root disk
	dataID   = "3fb2d81c55aa0172" // a volume, on hold
	strayID  = "9c00f2d1b6e3a841" // unexplained
	purgedID = "e1d2c3b4a5968778" // a tombstone
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func webDeletion() quarantine.Deletion {
	return quarantine.Deletion{
		ID: "a1b2c3d4e5f60718", Cloud: "prod", CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindDelete,
		ResourceKind: quarantine.ResourceVM, ResourceID: "7e4d3a52-90c1-4d7a-8a55-0de5b1f6a9c3", ResourceName: "web-1",
		Project: quarantine.Principal{ID: "b0c1d2", Name: "alice-lab"}, User: quarantine.Principal{ID: "u-17", Name: "alice"},
		Deleter: quarantine.Principal{ID: "u-18", Name: "bob"}, Flavor: "m1.small", Image: quarantine.Principal{ID: "i-1", Name: "debian-12"},
		Host: "node7", AvailabilityZone: "nova", Metadata: map[string]string{"role": "web", "owner": "alice"}, Tags: []string{"public"},
		Addresses: []quarantine.Address{{IP: "192.0.2.7", MAC: "fa:16:3e:00:00:07", Network: "public"}, {IP: "2001:db8::7", MAC: "fa:16:3e:00:00:07", Network: "public"}},
		CreatedAt: at("2026-10-01T08:00:00Z"), StartedAt: at("2026-11-17T14:05:01Z"), EndedAt: at("2026-11-17T14:05:03Z"),
		RequestID: "req-1", Disks: []quarantine.DiskRef{{Pool: "vms", Name: "7e4d3a52-90c1-4d7a-8a55-0de5b1f6a9c3_disk", Role: "root", Required: true}},
	}
}

// disks are all disks that the daemon has, oldest first.
func disks() []wire.DiskDetail {
	web := webDeletion()
	volume := quarantine.Deletion{
		ID: "b1b2c3d4e5f60718", Cloud: "prod", CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindVolumeDelete,
		ResourceKind: quarantine.ResourceVolume, ResourceID: "0d9c8b7a", ResourceName: "a volume with a name that is longer than any table is wide, by far",
		Project: quarantine.Principal{ID: "b0c1d2", Name: "alice-lab"}, User: quarantine.Principal{ID: "u-17", Name: "alice"},
	}
	decided := quarantine.Decision{Retain: 14 * 24 * time.Hour, Rule: "default", PolicyHash: "c0ffee", Reason: "no rule matched; default of default.yaml"}
	base := quarantine.Disk{
		State: quarantine.Quarantined, Capture: quarantine.CaptureGuard, SizeBytes: 10 << 30, UsedBytes: 1288490189, Sealed: true,
		DeletedAt: at("2026-11-17T14:05:02Z"), QuarantinedAt: at("2026-11-17T14:05:04Z"), RetainUntil: at("2026-12-01T14:05:02Z"),
		Decision: decided,
	}
	root := base
	root.ID, root.Key, root.OriginalName, root.Role, root.Deletion = webID, quarantine.Key{FSID: fsid, Pool: "vms", ImageID: "10226b8b4567"}, "7e4d3a52-90c1-4d7a-8a55-0de5b1f6a9c3_disk", "root", &web
	root.Parent = &quarantine.Parent{ParentRef: quarantine.ParentRef{Key: quarantine.Key{FSID: fsid, Pool: "images", ImageID: "50666b8b4567"}, Name: "debian-12", Snapshot: "snap"}, CopyBytes: 1 << 30}
	data := base
	data.ID, data.Key, data.OriginalName, data.Role, data.Deletion = dataID, quarantine.Key{FSID: fsid, Pool: "volumes", ImageID: "20336b8b4567"}, "volume-0d9c8b7a", "volume", &volume
	data.SizeBytes, data.UsedBytes = 1536<<20, -1
	data.Holds = []quarantine.Hold{
		{CaseID: "CERT-9", Reason: "phishing", By: "carol", PlacedAt: at("2026-11-18T09:00:00Z"), Released: at("2026-11-20T09:00:00Z"), ReleaseBy: "dave", ReleaseReason: "closed"},
		{CaseID: "CERT-17", Reason: "under investigation", By: "carol", PlacedAt: at("2026-11-18T09:00:00Z")},
	}
	stray := base
	stray.ID, stray.Key, stray.OriginalName = strayID, quarantine.Key{FSID: fsid, Pool: "vms", Namespace: "ns1", ImageID: "30446b8b4567"}, "tmp-\x1b[31mbuild"
	stray.State, stray.ExpiringAt, stray.SizeBytes, stray.UsedBytes = quarantine.Expiring, at("2026-12-01T15:00:00Z"), 4<<20, 0
	gone := base
	gone.ID, gone.Key, gone.OriginalName = purgedID, quarantine.Key{FSID: fsid, Pool: "vms", ImageID: "40556b8b4567"}, "one-5-22-0"
	gone.State, gone.PurgedAt, gone.Sealed, gone.SizeBytes = quarantine.Purged, at("2026-11-19T00:00:00Z"), false, 2<<30
	custody := []quarantine.Entry{
		{At: at("2026-11-17T14:05:03Z"), Disk: webID, Act: "adopt", Outcome: "intent", Actor: "recorder"},
		{At: at("2026-11-17T14:05:04Z"), Disk: webID, Act: "seal", Outcome: "done", Actor: "recorder"},
		{At: at("2026-11-18T10:00:00Z"), Disk: webID, Act: "extend", Outcome: "refused", Actor: "carol", Reason: "asked by the owner of the machine, who wants it no longer than the policy says", Detail: map[string]string{"retain_until": "2026-11-19T00:00:00Z"}},
	}
	return []wire.DiskDetail{
		{Disk: wire.FromDisk(root), Custody: custody},
		{Disk: wire.FromDisk(data), Custody: []quarantine.Entry{}, CustodyFault: "line 12: the chain does not hold"},
		{Disk: wire.FromDisk(stray), Custody: []quarantine.Entry{}},
		{Disk: wire.FromDisk(gone), Custody: []quarantine.Entry{}},
	}
}
