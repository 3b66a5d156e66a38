package main

import "quarantine/internal/quarantine"

// parentImages: debian-12 is wanted gone, and a VM's disk on hold keeps it; an
// old base nobody wants gone; of a third it is not known where it is.
func parentImages() []quarantine.ParentImage {
	return []quarantine.ParentImage{
		{
			Key: quarantine.Key{FSID: fsid, Pool: "images", ImageID: "50666b8b4567"}, Name: "debian-12", Where: quarantine.PlaceLive,
			Blocked: true, Why: "its deletion was reported at 2026-11-20T07:00:00Z", CopyBytes: 1 << 30, Unmeasured: 1,
			Children: []quarantine.ParentChild{
				{ID: webID, OriginalName: "7e4d3a52-90c1-4d7a-8a55-0de5b1f6a9c3_disk", ResourceName: "web-1", Pool: "vms", State: quarantine.Quarantined, Snapshot: "snap",
					SizeBytes: 10 << 30, CopyBytes: 1 << 30, RetainUntil: at("2026-12-01T14:05:02Z"), Holds: []string{"CERT-17"}, Flatten: quarantine.FlattenOnHold},
				{ID: strayID, OriginalName: "tmp-\x1b[31mbuild", Pool: "vms/ns1", State: quarantine.Quarantined, Snapshot: "snap", SizeBytes: 4 << 20, CopyBytes: -1,
					RetainUntil: at("2026-12-01T14:05:02Z"), Holds: []string{}, Flatten: quarantine.FlattenNever, Refused: "it was written to after its seal"},
			},
		},
		{
			Key: quarantine.Key{FSID: fsid, Pool: "one", ImageID: "60776b8b4567"}, Name: "one-7", Where: quarantine.PlaceTrash, Disk: purgedID, State: quarantine.Quarantined,
			Children: []quarantine.ParentChild{{ID: dataID, OriginalName: "one-7-22-0", Pool: "one", State: quarantine.Expiring, RetainUntil: at("2026-12-01T14:05:02Z"), Holds: []string{}, Flatten: quarantine.FlattenNever}},
		},
		{
			Key: quarantine.Key{FSID: fsid, Pool: "old", ImageID: "70886b8b4567"}, Name: "base", Where: quarantine.PlaceUnknown, Fault: "pool old: not found",
			Children: []quarantine.ParentChild{},
		},
	}
}
