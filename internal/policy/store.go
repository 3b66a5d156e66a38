package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"quarantine/internal/quarantine"
)

// Store holds the policy in force and reads it again. It implements
// quarantine.Policy.
type Store struct {
	path string
	// changing is held while a policy is looked at that may come into force.
	changing sync.Mutex
	keeper   *keeper // nil: locks are not kept

	mu  sync.RWMutex
	set *Set
	err error
	// files are those of set.
	files []File
}

var _ quarantine.Policy = (*Store)(nil)

// NewStore loads the policy. There is no Store without one.
func NewStore(_ context.Context, path string) (*Store, error) {
	files, set, err := load(path)
	if err != nil {
		return nil, err
	}
	return &Store{path: path, set: set, files: files}, nil
}

func load(path string) ([]File, *Set, error) {
	files, err := Read(path)
	if err != nil {
		return nil, nil, err
	}
	set, err := Parse(path, files)
	return files, set, err
}

// Keep makes the Store keep its locks. A policy that loosens a locked rule of the
// one that was in force last does not come into force, whether or not the daemon
// was running when it was written: the former goes on deciding. Where it is not
// known what was locked, Reload looks again. The error is what Ready says.
func (s *Store) Keep(ctx context.Context, with Keeping) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.keeper = &keeper{Keeping: with}
	err := s.keeper.admit(ctx, s.files, s.set)
	if former := s.keeper.set; err != nil && former != nil {
		s.put(s.keeper.state.Files, former)
	}
	s.fail(err)
	return err
}

// fail makes Ready say why.
func (s *Store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *Store) put(files []File, set *Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files, s.set = files, set
}

// Reload reads the policy again. One that does not load, or that loosens a locked
// rule, leaves the old one in force; Ready then says why, until a good one is read.
func (s *Store) Reload(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	files, set, err := load(s.path)
	if err == nil && s.keeper != nil {
		err = s.keeper.admit(ctx, files, set)
	}
	if err == nil {
		s.put(files, set)
	}
	s.fail(err)
	return err
}

// Unlock asks for a locked rule to be loosened: once its delay has passed, a policy
// that does so comes into force, once. A second asking changes nothing.
// quarantine.ErrNotFound if no rule of that name is locked.
func (s *Store) Unlock(ctx context.Context, actor, rule, reason string) (Lock, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	l, delay, err := s.lock(rule)
	if err != nil || l.Unlock != nil {
		return l, err
	}
	now := s.keeper.Clock().UTC().Truncate(time.Second)
	l.Unlock = &Unlock{By: actor, Reason: reason, AskedAt: now, From: now.Add(delay)}
	return l, s.keeper.ask(ctx, rule, l.Unlock, quarantine.Entry{Act: "policy-unlock", Actor: actor, Reason: reason,
		Detail: map[string]string{"rule": rule, "from": l.Unlock.From.Format(time.RFC3339)}})
}

// Relock takes an Unlock back. quarantine.ErrNotFound if no rule of that name is
// locked; that nobody asked for it is success.
func (s *Store) Relock(ctx context.Context, actor, rule, reason string) (Lock, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	l, _, err := s.lock(rule)
	if err != nil || l.Unlock == nil {
		return l, err
	}
	l.Unlock = nil
	return l, s.keeper.ask(ctx, rule, nil, quarantine.Entry{Act: "policy-relock", Actor: actor, Reason: reason, Detail: map[string]string{"rule": rule}})
}

// Locks returns the locked rules, by name.
func (s *Store) Locks() []Lock {
	s.changing.Lock()
	defer s.changing.Unlock()
	all := []Lock{}
	for _, rule := range slices.Sorted(maps.Keys(s.current().locks())) {
		if l, _, err := s.lock(rule); err == nil {
			all = append(all, l)
		}
	}
	return all
}

// lock is the lock of one rule of the policy in force. changing is held.
func (s *Store) lock(rule string) (Lock, time.Duration, error) {
	delay, locked := s.current().locks()[rule]
	if !locked {
		return Lock{}, 0, fmt.Errorf("no rule %q is locked: %w", rule, quarantine.ErrNotFound)
	}
	if s.keeper == nil || !s.keeper.loaded {
		return Lock{}, 0, fmt.Errorf("rule %q is locked, and it cannot be read whether somebody asked for its unlocking: %w", rule, quarantine.ErrUnavailable)
	}
	l := Lock{Rule: rule, UnlockDelay: quarantine.FormatDuration(delay)}
	if u, asked := s.keeper.state.Unlocks[rule]; asked {
		l.Unlock = &u
	}
	return l, delay, nil
}

// InForce reads the policy again, and returns it with its digest. A former policy,
// which decides on while the one on disk does not load or loosens a locked rule, is
// none that anybody means by this: quarantine.ErrRefused.
func (s *Store) InForce(ctx context.Context) (quarantine.Decider, string, error) {
	if err := s.Reload(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, "", err
		}
		return nil, "", fmt.Errorf("%w: the policy on disk is not in force: %w", quarantine.ErrRefused, err)
	}
	set := s.current()
	return set, set.digest, nil
}

// OnDisk reads the policy, and leaves the one in force as it is. It does not look
// whether it may come into force.
func (s *Store) OnDisk(ctx context.Context) (quarantine.Decider, string, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	_, set, err := load(s.path)
	if err != nil {
		return nil, "", err
	}
	return set, set.digest, nil
}

// Ready returns why the policy in force is not the one on disk, or nil.
func (s *Store) Ready() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.err
}

// Decide asks the policy in force.
func (s *Store) Decide(f quarantine.Facts) quarantine.Decision { return s.current().Decide(f) }

// Explain asks the policy in force, with what each rule said.
func (s *Store) Explain(f quarantine.Facts) (quarantine.Decision, []RuleTrace) {
	return s.current().Explain(f)
}

// Digest identifies the files of the policy in force.
func (s *Store) Digest() string { return s.current().digest }

func (s *Store) current() *Set {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.set
}
