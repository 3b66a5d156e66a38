package main

import (
	"fmt"
	"net/http"

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
