package main

import (
	"fmt"
	"time"

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
