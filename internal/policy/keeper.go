package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"quarantine/internal/quarantine"
)

// Keeping is what a Store needs to keep locks across restarts.
type Keeping struct {
	// The custody log has the policy whose rules are locked, and what was asked
	// for; the mark in the catalog has it too, for the day when the log is new.
	Custody quarantine.Custodian
	History quarantine.CustodyReader
	Marks   quarantine.Marks
	Clock   quarantine.Clock
}

// The custody log has the locks' entries under a name of their own instead of a
// disk's id, each with the whole state in its detail.
const (
	lockSubject = "policy-locks"
	lockMark    = "policy/locks"
	detailState = "state"
)

// Unlock is a person's wish that a locked rule be loosened.
type Unlock struct {
	By      string    `json:"by"`
	Reason  string    `json:"reason"`
	AskedAt time.Time `json:"asked_at"`
	// From is when the rule may be loosened.
	From time.Time `json:"from"`
}

// Lock is a locked rule.
type Lock struct {
	Rule string `json:"rule"`
	// UnlockDelay is a text such as 14d.
	UnlockDelay string  `json:"unlock_delay"`
	Unlock      *Unlock `json:"unlock,omitempty" doc:"that somebody asked for; absent: nobody did"`
}

// lockState is what is kept.
type lockState struct {
	// Files are the policy whose locked rules count: the last that was in force.
	// None: no rule is locked.
	Files   []File            `json:"files,omitempty"`
	Unlocks map[string]Unlock `json:"unlocks,omitempty"`
	// Refused is the digest of the policy that was refused last.
	Refused string `json:"refused,omitempty"`
}

// keeper keeps the locks of the policy in force. It is used by one goroutine at a
// time: Store sees to that.
type keeper struct {
	Keeping
	loaded bool
	state  lockState
	set    *Set // of state.Files; nil: none
}

// load reads what was kept, until it could once. An error means that it is not known what is locked.
func (k *keeper) load(ctx context.Context) error {
	entries, err := k.History.Entries(ctx, lockSubject)
	if err != nil {
		return fmt.Errorf("read from the custody log which rules of the policy are locked: %w", err)
	}
	text := ""
	for _, e := range entries {
		if s := e.Detail[detailState]; s != "" {
			text = s
		}
	}
	if text == "" {
		b, err := k.Marks.Mark(ctx, lockMark)
		if errors.Is(err, quarantine.ErrNotFound) {
			k.loaded = true
			return nil
		}
		if err != nil {
			return fmt.Errorf("read from the catalog which rules of the policy are locked: %w", err)
		}
		text = string(b)
	}
	if err := json.Unmarshal([]byte(text), &k.state); err != nil {
		return fmt.Errorf("read which rules of the policy are locked: %w: %w", quarantine.ErrInvalid, err)
	}
	if len(k.state.Files) > 0 {
		if k.set, err = Parse("the policy with the locked rules", k.state.Files); err != nil {
			return fmt.Errorf("read the policy that was in force, with its locked rules: %w", err)
		}
	}
	k.loaded = true
	return nil
}

// note writes the state into the custody log, with what made it so. What is not in
// the log has not happened.
func (k *keeper) note(ctx context.Context, state lockState, e quarantine.Entry) error {
	b, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encode the locks of the policy: %w", err)
	}
	e.At, e.Disk = k.Clock().UTC(), lockSubject
	if e.Outcome == "" {
		e.Outcome = quarantine.OutcomeDone
	}
	e.Detail[detailState] = string(b)
	if err := k.Custody.Append(ctx, e); err != nil {
		return fmt.Errorf("%s is not done, because its custody entry cannot be written: %w", e.Act, err)
	}
	k.state = state
	return nil
}

// mark writes the state into the catalog, too.
func (k *keeper) mark(ctx context.Context) error {
	b, err := json.Marshal(k.state)
	if err != nil {
		return fmt.Errorf("encode the locks of the policy: %w", err)
	}
	if err := k.Marks.SetMark(ctx, lockMark, b); err != nil {
		return fmt.Errorf("keep the locks of the policy: %w", err)
	}
	return nil
}

// admit says whether the policy may come into force, and if so keeps its locks.
// An ErrRefused names the locked rules that it loosens.
func (k *keeper) admit(ctx context.Context, files []File, next *Set) error {
	if !k.loaded {
		if err := k.load(ctx); err != nil {
			return err
		}
	}
	loosened := []Loosening{}
	if k.set != nil {
		loosened = k.set.Loosened(next)
	}
	now := k.Clock().UTC()
	var why []string
	for _, l := range loosened {
		if u, asked := k.state.Unlocks[l.Rule]; !asked || now.Before(u.From) {
			why = append(why, fmt.Sprintf("rule %q is locked: %s", l.Rule, l.Why))
		}
	}
	state := lockState{Unlocks: maps.Clone(k.state.Unlocks)}
	if len(why) > 0 {
		err := fmt.Errorf("%w: the policy on disk loosens what is locked: %s", quarantine.ErrRefused, strings.Join(why, "; "))
		if k.state.Refused == next.digest {
			return err // told of already
		}
		state.Files, state.Refused = k.state.Files, next.digest
		e := quarantine.Entry{Act: "policy-refused", Outcome: quarantine.OutcomeRefused, Actor: "policy", Reason: strings.Join(why, "; "),
			Detail: map[string]string{"policy": next.digest}}
		if nerr := k.note(ctx, state, e); nerr != nil {
			return errors.Join(err, nerr)
		}
		return errors.Join(err, k.mark(ctx))
	}
	locks := next.locks()
	if len(locks) > 0 {
		state.Files = files
	}
	rules := slices.Sorted(maps.Keys(locks))
	for _, l := range loosened {
		delete(state.Unlocks, l.Rule) // it was for this
	}
	maps.DeleteFunc(state.Unlocks, func(rule string, _ Unlock) bool { return !slices.Contains(rules, rule) })
	if slices.Equal(state.Files, k.state.Files) && k.state.Refused == "" && maps.Equal(state.Unlocks, k.state.Unlocks) {
		k.set = next
		return nil
	}
	err := k.note(ctx, state, quarantine.Entry{Act: "policy-locked", Actor: "policy", Reason: "locked: " + strings.Join(rules, ", "),
		Detail: map[string]string{"policy": next.digest}})
	if err != nil {
		return err
	}
	k.set = next // before the mark: the wish to unlock is used up
	return k.mark(ctx)
}

// ask notes, or with a nil unlock takes back, that a locked rule is to be loosened.
func (k *keeper) ask(ctx context.Context, rule string, u *Unlock, e quarantine.Entry) error {
	state := k.state
	state.Unlocks = maps.Clone(state.Unlocks)
	if u == nil {
		delete(state.Unlocks, rule)
	} else {
		if state.Unlocks == nil {
			state.Unlocks = map[string]Unlock{}
		}
		state.Unlocks[rule] = *u
	}
	if err := k.note(ctx, state, e); err != nil {
		return err
	}
	return k.mark(ctx)
}
