package policy

import (
	"context"
	"sync"

	"quarantine/internal/quarantine"
)

// Store holds the policy in force and reads it again. It implements
// quarantine.Policy.
type Store struct {
	path string

	mu  sync.RWMutex
	set *Set
	err error
}

var _ quarantine.Policy = (*Store)(nil)

// NewStore loads the policy. There is no Store without one.
func NewStore(_ context.Context, path string) (*Store, error) {
	set, err := Load(path)
	if err != nil {
		return nil, err
	}
	return &Store{path: path, set: set}, nil
}

// Reload reads the policy again. One that does not load leaves the old one in
// force; Ready then says why, until a good one is read.
func (s *Store) Reload(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	set, err := Load(s.path)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	if err == nil {
		s.set = set
	}
	return err
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
