package wire

import (
	"time"

	"quarantine/internal/quarantine"
)

// Disk is a disk as every output shows it.
type Disk struct {
	ID    string `json:"id" doc:"derived from the image's key; the same after every rebuild of the catalog"`
	State string `json:"state" enum:"pending,quarantined,expiring,purging,purged,restoring,restored,lost"`

	// Of the joined deletion; all empty while unexplained.
	Explained        bool              `json:"explained" doc:"false while no event says what the disk was"`
	Cloud            string            `json:"cloud"`
	CloudType        string            `json:"cloud_type"`
	Kind             string            `json:"kind" doc:"how the resource died: delete, rebuild, volume-delete …"`
	ResourceKind     string            `json:"resource_kind" doc:"vm, volume or image"`
	ResourceID       string            `json:"resource_id"`
	ResourceName     string            `json:"resource_name"`
	ServerID         string            `json:"server_id,omitempty" doc:"the VM that a volume was attached to"`
	Project          string            `json:"project" doc:"name, or id where no name is known"`
	ProjectID        string            `json:"project_id"`
	ProjectDomain    string            `json:"project_domain,omitempty" doc:"the Keystone domain of the project"`
	User             string            `json:"user" doc:"the owner: name, or id where no name is known"`
	UserID           string            `json:"user_id"`
	UserDomain       string            `json:"user_domain,omitempty" doc:"the Keystone domain of the user"`
	UserSubject      string            `json:"user_subject,omitempty" doc:"the user's name at who vouches for them, as an X.509 DN"`
	Deleter          string            `json:"deleter" doc:"who asked for the deletion"`
	DeleterID        string            `json:"deleter_id"`
	Flavor           string            `json:"flavor,omitempty"`
	Image            string            `json:"image,omitempty" doc:"the image it was booted from"`
	Host             string            `json:"host,omitempty"`
	AvailabilityZone string            `json:"availability_zone,omitempty"`
	Metadata         map[string]string `json:"metadata,omitempty"`
	Tags             []string          `json:"tags,omitempty"`
	KeyPair          string            `json:"key_pair,omitempty" doc:"name of the SSH key that the VM was made with"`
	// Volumes were attached to the VM.
	Volumes    []quarantine.VolumeRef `json:"volumes,omitempty" doc:"volumes that were attached to the VM"`
	Addresses  []string               `json:"addresses" doc:"the IP addresses that the VM had"`
	NICs       []NIC                  `json:"nics,omitempty" doc:"the same addresses with MAC, network and port"`
	CreatedAt  time.Time              `json:"created_at,omitzero" doc:"when the resource was made"`
	RequestID  string                 `json:"request_id,omitempty"`
	DeletionID string                 `json:"deletion_id,omitempty"`

	// The image.
	Cluster      string `json:"cluster" doc:"fsid of the Ceph cluster"`
	Pool         string `json:"pool"`
	Namespace    string `json:"namespace,omitempty"`
	ImageID      string `json:"image_id"`
	OriginalName string `json:"original_name"`
	Role         string `json:"role,omitempty" doc:"root, ephemeral, swap, config, rescue, volume …"`
	SizeBytes    int64  `json:"size_bytes" doc:"provisioned"`
	UsedBytes    int64  `json:"used_bytes" doc:"allocated; -1 until measured"`
	Capture      string `json:"capture" doc:"guard, driver, raced, copy or none"`
	Sealed       bool   `json:"sealed"`
	// SealBrokenAt is left out where the seal was never off.
	SealBrokenAt time.Time `json:"seal_broken_at,omitzero" doc:"when it was noticed that the seal had been off: somebody else had removed or replaced it, or a purge was taken back; the present one shows what was left"`
	// Parent is the image that the disk was cloned from.
	Parent *Parent `json:"parent,omitempty"`
	// CopyOf and Copies are the other side of isolated copies.
	CopyOf *quarantine.CopyRef  `json:"copy_of,omitempty" doc:"the disk that this is an isolated copy of"`
	Copies []quarantine.CopyRef `json:"copies,omitempty" doc:"its copies in the evidence pool"`

	DeletedAt     time.Time `json:"deleted_at"`
	QuarantinedAt time.Time `json:"quarantined_at"`
	RetainUntil   time.Time `json:"retain_until"`
	ExpiringAt    time.Time `json:"expiring_at,omitzero"`
	PurgedAt      time.Time `json:"purged_at,omitzero"`
	RestoredAt    time.Time `json:"restored_at,omitzero"`
	RestoredTo    string    `json:"restored_to,omitempty"`

	Rule       string `json:"rule" doc:"the policy rule that decided"`
	PolicyHash string `json:"policy_hash" doc:"SHA-256 of the file that the rule stood in"`
	Reason     string `json:"reason" doc:"why the rule applied"`
	Isolate    bool   `json:"isolate,omitempty"`
	IsolateBy  string `json:"isolate_by,omitempty" doc:"who asked for a copy in the evidence pool"`
	Flatten    string `json:"flatten,omitempty" doc:"when that rule has the disk flattened: on-hold, when-parent-blocked or always; never where it is left out"`
	EarlyBy    string `json:"early_purge_by,omitempty" doc:"who asked for it to be purged before its time; capacity: its pool was too full"`
	EarlyWhy   string `json:"early_purge_reason,omitempty" doc:"why its pool was too full, and its project more than its share"`

	// Shortened is set where two people cut the promise short.
	Shortened *quarantine.Shortening `json:"shortened,omitempty" doc:"who agreed that it goes earlier than it was promised"`

	Held  bool              `json:"held" doc:"a hold is open"`
	Holds []quarantine.Hold `json:"holds" doc:"all holds, released ones too"`
}

// NIC is one address with what belongs to it.
type NIC = quarantine.Address

// FromDisk translates a disk of the domain.
func FromDisk(d quarantine.Disk) Disk {
	w := Disk{
		ID: d.ID, State: string(d.State), Addresses: []string{},
		Cluster: d.Key.FSID, Pool: d.Key.Pool, Namespace: d.Key.Namespace, ImageID: d.Key.ImageID,
		OriginalName: d.OriginalName, Role: d.Role, SizeBytes: d.SizeBytes, UsedBytes: d.UsedBytes,
		Capture: string(d.Capture), Sealed: d.Sealed, SealBrokenAt: d.SealBrokenAt,
		DeletedAt: d.DeletedAt.UTC(), QuarantinedAt: d.QuarantinedAt.UTC(), RetainUntil: d.RetainUntil.UTC(),
		ExpiringAt: d.ExpiringAt, PurgedAt: d.PurgedAt, RestoredAt: d.RestoredAt, RestoredTo: d.RestoredTo,
		Rule: d.Decision.Rule, PolicyHash: d.Decision.PolicyHash, Reason: d.Decision.Reason, Isolate: d.Decision.Isolate,
		EarlyBy: d.EarlyBy, EarlyWhy: d.EarlyReason, Shortened: d.Shortened, Held: d.Held(), Holds: d.Holds,
	}
	w.CopyOf, w.Copies, w.IsolateBy = d.CopyOf, d.Copies, d.IsolateBy
	w.Flatten, w.Parent = string(d.Decision.Flatten), fromParent(d.Parent)
	if w.Holds == nil {
		w.Holds = []quarantine.Hold{}
	}
	if d.Deletion != nil {
		w.explain(d.Deletion)
	}
	return w
}

// explain fills in what the deletion says.
func (w *Disk) explain(del *quarantine.Deletion) {
	w.Explained = true
	w.Cloud, w.CloudType, w.Kind = del.Cloud, del.CloudType, string(del.Kind)
	w.ResourceKind, w.ResourceID, w.ResourceName, w.ServerID = string(del.ResourceKind), del.ResourceID, del.ResourceName, del.ServerID
	w.Project, w.ProjectID = del.Project.Label(), del.Project.ID
	w.User, w.UserID = del.User.Label(), del.User.ID
	w.Deleter, w.DeleterID = del.Deleter.Label(), del.Deleter.ID
	w.Flavor, w.Image, w.Host, w.AvailabilityZone = del.Flavor, del.Image.Label(), del.Host, del.AvailabilityZone
	w.UserSubject = del.User.Subject
	w.ProjectDomain, w.UserDomain, w.KeyPair, w.Volumes = del.Project.Domain, del.User.Domain, del.KeyPair, del.Volumes
	w.Metadata, w.Tags, w.NICs = del.Metadata, del.Tags, del.Addresses
	w.CreatedAt, w.RequestID, w.DeletionID = del.CreatedAt, del.RequestID, del.ID
	for _, a := range del.Addresses {
		if a.IP != "" {
			w.Addresses = append(w.Addresses, a.IP)
		}
	}
}

// DiskPage is one page of a list.
type DiskPage struct {
	Disks []Disk `json:"disks"`
	Total int64  `json:"total" doc:"how many disks the filter selects on all pages; where at_least is true there are more"`
	// AtLeast: there are more than Total; the daemon counts some thousands ahead, or some hundreds.
	AtLeast bool `json:"at_least,omitempty" doc:"there are more than total"`
	Limit   int  `json:"limit"`
	Offset  int  `json:"offset"`
}

// DiskDetail is a disk with its custody entries.
type DiskDetail struct {
	Disk
	Custody []quarantine.Entry `json:"custody" doc:"all that was ever done to the disk, oldest first"`
	// CustodyFault says why the entries are not to be trusted; "" if the chain
	// verifies.
	CustodyFault string `json:"custody_fault,omitempty"`
}
