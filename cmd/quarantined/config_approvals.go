package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"quarantine/internal/quarantine"
)

// approvalsConfig is about the acts that take two people.
type approvalsConfig struct {
	// Required is true unless an admin's early purge shall need nobody else; a
	// shortened retention takes two people in any case.
	Required *bool `yaml:"required"`
	// Expire is how long a request may wait for its approval; default 72h, from 1m
	// to 30d.
	Expire duration `yaml:"expire"`
}

// sweepRequests is how often it is looked for requests to end or to go on with.
const sweepRequests = time.Minute

func (c *approvalsConfig) defaults() {
	if c.Required == nil {
		yes := true
		c.Required = &yes
	}
	or(&c.Expire, duration{72 * time.Hour})
}

func (c *approvalsConfig) check() error {
	if d := c.Expire.Duration; d < time.Minute || d > 30*24*time.Hour {
		return fmt.Errorf("approvals.expire: %s is not between 1m and 30d", quarantine.FormatDuration(d))
	}
	return nil
}

func (c *approvalsConfig) domain() quarantine.ApprovalsConfig {
	return quarantine.ApprovalsConfig{Expire: c.Expire.Duration, Alone: !*c.Required, Every: sweepRequests}
}

// checkNames refuses names of tokens that look alike and are not the same. Two people
// are told apart by the names of their tokens, which are all that the custody log has
// of them: one person who is "ann" and "Ann" could approve her own requests, and who
// reads the log would see one name. Several tokens may bear the same name: they are
// one person's.
func (c *config) checkNames() error {
	var errs []error
	names := map[string]string{}
	for _, t := range c.Tokens {
		if t.Name != strings.TrimSpace(t.Name) || strings.ContainsFunc(t.Name, func(r rune) bool { return !unicode.IsPrint(r) }) {
			errs = append(errs, fmt.Errorf("token %q: its name has spaces at its ends, or characters that cannot be seen", t.Name))
		}
		plain := strings.ToLower(t.Name)
		if other, ok := names[plain]; ok && other != t.Name {
			errs = append(errs, fmt.Errorf("token %q: there is one named %q, too: write one person's name always the same", t.Name, other))
		}
		names[plain] = t.Name
	}
	return errors.Join(errs...)
}
