package wire

import "quarantine/internal/quarantine"

// What RestoreRequest.As can be.
const (
	RestoreClone   = "clone"
	RestoreInPlace = "in-place"
	RestoreVolume  = quarantine.AsVolume
	RestoreImage   = quarantine.AsImage
	RestoreServer  = quarantine.AsServer
)

// RestoreRequest gives a disk back (POST /v1/disks/{id}/restore). As says as
// what; without it InPlace decides between in-place and clone.
//
// A clone is an RBD image named Name in Pool (the disk's own where empty). In
// place takes nothing but Reason. The others are made in a cloud, and CloudWish
// is for them alone; Name is the resource's there. The answer is a stream of
// Step, one JSON value a line.
type RestoreRequest struct {
	As        string `json:"as,omitempty" enum:"clone,in-place,volume,image,server"`
	InPlace   bool   `json:"in_place,omitempty" doc:"the same as: in-place"`
	Pool      string `json:"pool,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Flatten   bool   `json:"flatten,omitempty" doc:"of a clone: make it independent of the disk"`
	CloudWish
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

// VMRestoreRequest gives all disks of a VM back as a unit (POST /v1/restore), as
// volumes or as a server. The answer is a stream of Step.
type VMRestoreRequest struct {
	VM       string `json:"vm" minLength:"1" maxLength:"255" doc:"name or id of the VM"`
	Deletion string `json:"deletion,omitempty" doc:"id of the deletion, where the VM's disks died by several"`
	All      bool   `json:"all,omitempty" doc:"swap, config drive and rescue disk too"`
	As       string `json:"as" enum:"volume,server"`
	Name     string `json:"name,omitempty" maxLength:"200"`
	CloudWish
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

// CloudWish is what a cloud is to make, and how.
type CloudWish struct {
	Cloud      string `json:"cloud,omitempty" doc:"configured name of the cloud; the disk's own, or the only one, where it is empty"`
	Project    string `json:"project,omitempty" doc:"id or name of the project (in OpenNebula the group) that is to own it; the service's own where it is empty"`
	Domain     string `json:"domain,omitempty" doc:"name or id of the project's domain"`
	Owner      string `json:"owner,omitempty" doc:"id or name of the user that is to own it, in OpenNebula"`
	VolumeType string `json:"volume_type,omitempty" doc:"type of the volumes; in OpenNebula the image datastore"`
	Bootable   bool   `json:"bootable,omitempty" doc:"make a volume bootable that is of no root disk"`
	NoFlatten  bool   `json:"no_flatten,omitempty" doc:"leave volumes copy-on-write clones; the disks cannot be purged while they live"`
	Move       bool   `json:"move,omitempty" doc:"give the disk itself, which leaves quarantine; only where no copy is needed"`
	Upload     bool   `json:"upload,omitempty" doc:"send an image's bytes instead of its location"`
	Network    string `json:"network,omitempty" doc:"id or name of a server's network"`
	Flavor     string `json:"flavor,omitempty" doc:"id or name of a server's flavor; the smallest that fits where it is empty"`
	Defanged   bool   `json:"defanged,omitempty" doc:"a server without network, config drive, user data and key"`
	DryRun     bool   `json:"dry_run,omitempty" doc:"tell the plan, and do nothing"`
}

// Step is one line of the answer to a restore: how far it is, and at the end
// either what was restored or an error.
type Step struct {
	// Restore is the id of a restore to a cloud, in its first line, by which it
	// can be cancelled (POST /v1/restores/{id}/cancel).
	Restore string `json:"restore,omitempty"`
	// Stage and DiskID say what is being done, where it is told apart: clone,
	// flatten, volume, image, upload, server, clean-up.
	Stage  string `json:"stage,omitempty"`
	DiskID string `json:"disk_id,omitempty"`
	Done   uint64 `json:"done,omitempty"`
	Total  uint64 `json:"total,omitempty"`
	// Made is what the stage has made in the cloud.
	Made *quarantine.Made `json:"made,omitempty"`

	// Plan is the only line of a dry run.
	Plan *quarantine.CloudPlan `json:"plan,omitempty"`
	// Disk is the restored disk, where it is one.
	Disk *Disk `json:"disk,omitempty"`
	// Result is what came of a restore to a cloud, also beside an error.
	Result *CloudResult `json:"result,omitempty"`
	Error  *Problem     `json:"error,omitempty"`
}

// Last reports whether the step is the last line.
func (s *Step) Last() bool {
	return s.Plan != nil || s.Disk != nil || s.Result != nil || s.Error != nil
}

// CloudResult is what came of a restore to a cloud.
type CloudResult struct {
	Disks []Disk `json:"disks"`
	// Made are the resources, a server last. A volume with a transfer waits to
	// be accepted in its project.
	Made []quarantine.Made `json:"made"`
	// Removed says what a restore that failed has taken back, Left what it could
	// not, with the reason.
	Removed []string `json:"removed,omitempty"`
	Left    []string `json:"left,omitempty"`
}

// FromCloudResult translates a result of the domain.
func FromCloudResult(r quarantine.CloudResult) CloudResult {
	w := CloudResult{Disks: []Disk{}, Made: []quarantine.Made{}, Removed: r.Removed, Left: r.Left}
	for _, d := range r.Disks {
		w.Disks = append(w.Disks, FromDisk(d))
	}
	w.Made = append(w.Made, r.Made...)
	return w
}
