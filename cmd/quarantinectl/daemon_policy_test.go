package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// policyLocks are of two rules, one of which somebody asked to loosen.
func policyLocks() []policy.Lock {
	return []policy.Lock{{Rule: "default", UnlockDelay: "7d"}, unlocked("law")}
}

func unlocked(rule string) policy.Lock {
	return policy.Lock{Rule: rule, UnlockDelay: "14d", Unlock: &policy.Unlock{By: "ada", Reason: "it ended", AskedAt: at("2026-11-20T08:00:00Z"), From: at("2026-12-04T08:00:00Z")}}
}

// lockRule: only the rule law is locked.
func lockRule(w http.ResponseWriter, r *http.Request) {
	var in wire.UnlockRequest
	err := decode(r, &in)
	if err == nil && in.Rule != "law" {
		err = fmt.Errorf("no rule %q is locked: %w", in.Rule, quarantine.ErrNotFound)
	}
	l := unlocked(in.Rule)
	if r.PathValue("act") == "relock" {
		l.Unlock = nil
	}
	reply(w)(l, err)
}

// alive: web-1 is.
func alive(resource string) ([]wire.AliveExplanation, error) {
	if resource != "web-1" {
		return nil, fmt.Errorf("nothing called %q was seen alive in a cloud: %w", resource, quarantine.ErrNotFound)
	}
	return []wire.AliveExplanation{{Cloud: "os", ResourceKind: quarantine.ResourceVM, ResourceID: "4f4d0436", ResourceName: "web-1", Project: "physics", SeenAt: at("2026-11-20T08:00:00Z"),
		Disks: []wire.AliveDisk{{Name: "4f4d0436_disk", RetainUntil: at("2026-12-04T08:00:00Z"),
			Decision: quarantine.Decision{Retain: 14 * 24 * time.Hour, Rule: "law", Mode: quarantine.Compliance, Reason: "because"},
			Trace:    []policy.RuleTrace{{Rule: "law", File: "default.yaml", Retain: "14d", Outcome: policy.Matched}}}}}}, nil
}

// explainFactsOf: the rule's name is the resource's, so that the test sees what was
// sent.
func explainFactsOf(w http.ResponseWriter, r *http.Request) {
	var in wire.PolicyFacts
	err := decode(r, &in)
	reply(w)(wire.FactsExplanation{DeletedAt: in.DeletedAt, RetainUntil: in.DeletedAt.Add(24 * time.Hour),
		Decision: quarantine.Decision{Retain: 24 * time.Hour, Rule: in.ResourceName, Reason: "because"},
		Trace:    []policy.RuleTrace{{Rule: in.ResourceName, File: "default.yaml", Retain: "1d", Outcome: policy.Matched}}}, err)
}

// applyPolicy says how far it is, and then what came of it: of one disk it failed
// where the reason says so, nothing is shortened where it says that, and "agreed" is
// what two people have agreed upon already.
func applyPolicy(w http.ResponseWriter, r *http.Request) {
	var in wire.ApplyRequest
	if err := decode(r, &in); err != nil {
		reply(w)(nil, err)
		return
	}
	res := quarantine.PolicyApplication{Policy: "c0ffee", Disks: 5, Longer: 1, Stricter: 1, Protected: 1, Shorter: 2,
		Request: &quarantine.Request{ID: "9c0ffee0c0ffee09", Kind: quarantine.RequestApplyPolicy, Subject: "c0ffee", RequestedBy: "ada", State: quarantine.RequestOpen}}
	switch in.Reason {
	case "fails":
		res.Failed, res.Errors = 1, []string{"disk 3fa1c09be2d47a55: no answer"}
	case "agreed":
		res.Request.State = quarantine.RequestApproved
	case "lengthens":
		res.Shorter, res.Request = 0, nil
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	_ = json.NewEncoder(w).Encode(wire.ApplyLine{Done: 3, Total: 5})
	_ = json.NewEncoder(w).Encode(wire.ApplyLine{Result: &res})
}
