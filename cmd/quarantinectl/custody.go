package main

import (
	"context"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
)

func custodyCommand(a *app) *cobra.Command {
	return group(a, "custody", "The log of all that was done to disks", "The log of all that was done to disks.", custodyVerifyCommand(a))
}

func custodyVerifyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check the chain of the custody log",
		Long: `Check the whole chain of the custody log. A chain that breaks is a failure (1);
the error says where.
` + exitHelp(exitDone, exitFailed, exitUsage, exitUnreachable),
		Example: "  quarantinectl custody verify",
		Args:    cobra.NoArgs,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			if err := c.VerifyCustody(ctx); err != nil {
				return err
			}
			return a.print(map[string]any{"valid": true}, func(p *page) { p.line("the custody log's chain holds") })
		}),
	}
}
