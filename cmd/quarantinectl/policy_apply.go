package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

func policyApplyCommand(a *app) *cobra.Command {
	var r wire.ApplyRequest
	var dry, yes bool
	look := wire.SimulateRequest{OnDisk: true, Apply: true, Changes: 100}
	cmd := &cobra.Command{
		Use:   "apply --reason TEXT",
		Short: "Decide about what is in quarantine anew, by the policy in force",
		Long: `Read the policy on disk, and decide about every disk in quarantine anew. What it
keeps for as long or longer is done at once, and so is what protects it more.
What it would keep for a shorter time takes two people: a request is made, and
an admin other than you approves it (quarantinectl request approve). No hold,
compliance or least time gives way, and what people decided about one disk
stays.

It takes an admin's token, says what would change, and asks first. It may be
repeated. It is refused (4) while the policy on disk may not come into force.
` + exitHelp(exitDone, exitFailed, exitUsage, exitRefused, exitPartial, exitUnreachable),
		Example: `  quarantinectl policy apply --reason "agreement of November" --dry-run
  quarantinectl policy apply --reason "agreement of November"`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
		if dry || !yes && a.screen.stdin {
			sim, err := c.Simulate(ctx, look)
			if err != nil {
				return err
			}
			r.Policy = sim.Policy // and no other, whatever is written there meanwhile
			if dry {
				return a.print(sim, func(p *page) { differences(p, sim) })
			}
			p := &page{width: a.screen.width}
			differences(p, sim)
			if err := write(a.stderr, p.Bytes()); err != nil {
				return err
			}
		}
		if err := a.confirm(yes, "Apply the policy?"); err != nil {
			return err
		}
		bar := a.newProgress("decide anew", false)
		defer bar.end()
		res, err := c.ApplyPolicy(ctx, r, bar.at)
		bar.end()
		if err != nil {
			return err
		}
		return a.applied(res)
	})
	reasonFlag(cmd, &r.Reason)
	yesFlag(cmd, &yes)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would change, and change nothing")
	cmd.Flags().IntVar(&look.Changes, "changes", look.Changes, "name so many changed disks at most")
	return cmd
}

// applied prints what came of it, and who goes on.
func (a *app) applied(res quarantine.PolicyApplication) error {
	err := a.print(res, func(p *page) {
		p.line("%d disks; kept for longer now: %d; protected more: %d; to be kept for a shorter time: %d", res.Disks, res.Longer, res.Stricter, res.Shorter)
		if res.Protected > 0 {
			p.line("kept longer than the policy would, by a hold or by compliance: %d disks", res.Protected)
		}
		for _, e := range res.Errors {
			p.line("failed: %s", e)
		}
	})
	switch {
	case err != nil || res.Request == nil:
	case res.Request.State == quarantine.RequestApproved:
		a.say("hint: the shorter times are agreed upon, and are being given: quarantinectl request show %s", printable(res.Request.ID))
	default:
		a.say("hint: the shorter times wait for an admin other than %s: quarantinectl request approve %s --reason TEXT", printable(res.Request.RequestedBy), printable(res.Request.ID))
	}
	if err == nil && res.Failed > 0 {
		return fmt.Errorf("%w: %d disks could not be changed; apply again", errPartial, res.Failed)
	}
	return err
}
