package main

import (
	"time"

	"quarantine/internal/quarantine"
)

// rootDisk is how Nova names a server's root disk.
func rootDisk(server string) string { return server + "_disk" }

// serverDeletion is what Nova's messages about the deletion of a server come
// to, as internal/openstack reads them: of the usual size, and referring to
// the usual disks.
func serverDeletion(server string, at time.Time) quarantine.Deletion {
	root := rootDisk(server)
	return quarantine.Deletion{
		ID:    quarantine.DeletionID(cloudName, quarantine.KindDelete, server, ""),
		Cloud: cloudName, CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindDelete,
		ResourceKind: quarantine.ResourceVM, ResourceID: server, ResourceName: "web-" + server[:8],
		Project: quarantine.Principal{ID: "6f70656e737461636b20696e20612062", Name: "physics"},
		User:    quarantine.Principal{ID: "a29a4b1f0d8c4f0bb1f7f9a1f9a2d6c3", Name: "alice"},
		Deleter: quarantine.Principal{ID: "a29a4b1f0d8c4f0bb1f7f9a1f9a2d6c3", Name: "alice"},
		Flavor:  "m1.small", Image: quarantine.Principal{ID: "155d900f-4e14-4e4c-a73d-069cbf4541e6", Name: "debian-12"},
		Host: "node1", AvailabilityZone: "nova",
		Metadata: map[string]string{"role": "web", "owner": "alice"}, Tags: []string{"public"},
		Addresses: []quarantine.Address{{IP: "192.0.2.7", MAC: "fa:16:3e:4c:2c:30", Network: "lan", PortID: "ce531f90-199f-48c0-816c-13e38010b442"}},
		RequestID: "req-5b6c791d-5709-4f36-8fbe-c3e02869e35d",
		CreatedAt: at.Add(-90 * 24 * time.Hour), StartedAt: at, ReceivedAt: at,
		Disks: []quarantine.DiskRef{
			{Name: server, Prefix: true},
			{Name: root, Role: "root", Required: true},
			{Name: root + ".config", Role: "config"},
			{Name: root + ".eph0", Role: "ephemeral"},
			{Name: root + ".swap", Role: "swap"},
			{Name: root + ".rescue", Role: "rescue"},
		},
	}
}
