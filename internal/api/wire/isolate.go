package wire

// IsolateRequest copies a disk to the evidence pool (POST
// /v1/disks/{id}/isolate). The answer is a stream of Step; the last has the
// copy, or in a dry run the disk itself.
type IsolateRequest struct {
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
	DryRun bool   `json:"dry_run,omitempty" doc:"say whether it could be copied, and do nothing"`
}
