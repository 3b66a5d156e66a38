package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

func policyLocksCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "locks",
		Short: "List the locked rules of the policy in force",
		Long: `List the locked rules of the policy in force, and who has asked for which to be
loosened. A policy that loosens a locked rule before its delay has passed does
not come into force, and nothing is removed until it is mended.
` + exitHelp(exitDone, exitFailed, exitUsage, exitUnreachable),
		Example: "  quarantinectl policy locks",
		Args:    cobra.NoArgs,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			locks, err := c.Locks(ctx)
			if err != nil {
				return err
			}
			return a.print(locks, func(p *page) {
				if len(locks) == 0 {
					p.line("no rule is locked")
					return
				}
				var rows [][]string
				for _, l := range locks {
					row := []string{l.Rule, l.UnlockDelay, "locked", "", ""}
					if u := l.Unlock; u != nil {
						row[2], row[3], row[4] = "may be loosened from "+moment(u.From), u.By, u.Reason
					}
					rows = append(rows, row)
				}
				p.grid([]column{{title: "RULE", fit: cut}, {title: "DELAY", right: true}, {title: "STATE (UTC)"}, {title: "BY", extra: true}, {title: "REASON", fit: wrap}}, rows)
			})
		}),
	}
}

func policyUnlockCommand(a *app) *cobra.Command {
	var r wire.UnlockRequest
	var yes bool
	cmd := &cobra.Command{
		Use:   "unlock RULE --reason TEXT",
		Short: "Ask for a locked rule to be loosened, once its delay has passed",
		Long: `Ask for a locked rule to be loosened. Once the rule's delay has passed, a policy
that loosens it comes into force, once; until then it is as locked as before. It
takes an admin's token, asks first, and is in the custody log.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitRefused, exitUnreachable),
		Example: `  quarantinectl policy unlock records --reason "the agreement has ended"`,
		Args:    cobra.ExactArgs(1),
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			if err := a.confirm(yes, "Let rule "+args[0]+" be loosened, once its delay has passed?"); err != nil {
				return err
			}
			r.Rule = args[0]
			l, err := c.Unlock(ctx, r)
			return printLock(a, l, err)
		}),
	}
	reasonFlag(cmd, &r.Reason)
	yesFlag(cmd, &yes)
	return cmd
}

func policyRelockCommand(a *app) *cobra.Command {
	var r wire.UnlockRequest
	cmd := &cobra.Command{
		Use:   "relock RULE --reason TEXT",
		Short: "Take back that a locked rule is to be loosened",
		Long: `Take back that a locked rule is to be loosened: its delay begins anew with the
next policy unlock.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitUnreachable),
		Example: `  quarantinectl policy relock records --reason "a mistake"`,
		Args:    cobra.ExactArgs(1),
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			r.Rule = args[0]
			l, err := c.Relock(ctx, r)
			return printLock(a, l, err)
		}),
	}
	reasonFlag(cmd, &r.Reason)
	return cmd
}

func printLock(a *app, l policy.Lock, err error) error {
	if errors.Is(err, quarantine.ErrNotFound) {
		return hint(err, "quarantinectl policy locks")
	}
	if err != nil {
		return err
	}
	return a.print(l, func(p *page) {
		if l.Unlock == nil {
			p.line("rule %s is locked", l.Rule)
			return
		}
		p.line("rule %s may be loosened from %s, as %s asked: %s", l.Rule, moment(l.Unlock.From), l.Unlock.By, l.Unlock.Reason)
	})
}
