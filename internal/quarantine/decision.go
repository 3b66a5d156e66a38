package quarantine

import (
	"fmt"
	"time"
)

// Decision is what a policy said about a disk. It is frozen in the record: a
// later change of the policy does not shorten what was promised.
type Decision struct {
	// Retain is how long the disk is kept, counted from its deletion.
	Retain time.Duration `json:"retain"`
	// Rule is the name of the deciding rule, PolicyHash the SHA-256 of the
	// file it stood in.
	Rule       string `json:"rule"`
	PolicyHash string `json:"policy_hash,omitempty"`
	// Reason says in a sentence why the rule applied.
	Reason string `json:"reason,omitempty"`
	// Isolate asks for a copy in a pool that the cloud's key cannot touch.
	Isolate bool `json:"isolate,omitempty"`
	// Mode says whether people may have the disk go before its time.
	Mode RetentionMode `json:"mode,omitempty"`
	// Min is what no shortage of room and no approval may take from Retain, counted
	// from the deletion too; zero: nothing is.
	Min time.Duration `json:"min,omitempty"`
	// KeepLast keeps the disk beyond its time while it is among the last of its
	// kind.
	KeepLast KeepLast `json:"keep_last,omitzero"`
	// Hold, where not nil, is a hold that the policy places at capture.
	Hold *PolicyHold `json:"hold,omitempty"`
	// Flatten says when the disk is made independent of its parent; "" means
	// never. It has no part in how long the disk is kept. Unlike the rest of the
	// decision it is no promise: a flatten goes by the policy of its day.
	Flatten FlattenRule `json:"flatten,omitempty"`
}

// PolicyHold is a hold that a policy asks for.
type PolicyHold struct {
	CaseID string `json:"case_id"`
	Reason string `json:"reason"`
}

// RetentionMode says whether a retention can be cut short. The words are those of
// S3's Object Lock.
type RetentionMode string

// The modes. An empty one is governance.
const (
	// Governance: two people together may have the disk go early, and so may a
	// shortage of room.
	Governance RetentionMode = "governance"
	// Compliance: nobody may. The time can only be extended.
	Compliance RetentionMode = "compliance"
)

// KeepLast keeps the last N disks of a group beyond their time; zero: none.
type KeepLast struct {
	N int `json:"n"`
	// By is what makes the group: KeepByVM or KeepByProject.
	By string `json:"by"`
}

// String is the number and the group: "3 by vm".
func (k KeepLast) String() string { return fmt.Sprintf("%d by %s", k.N, k.By) }

// parseKeepLast reads what String wrote.
func parseKeepLast(text string) (KeepLast, error) {
	var k KeepLast
	_, err := fmt.Sscanf(text, "%d by %s", &k.N, &k.By)
	return k, err
}
