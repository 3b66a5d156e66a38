package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

func policyCheckCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check PATH",
		Short: "Check a policy file, or a directory of them",
		Long: `Check a policy file, or a directory of them, as the daemon loads it. It needs no
daemon. The mistakes are named with their places (1).
` + exitHelp(exitDone, exitFailed, exitUsage),
		Example: "  quarantinectl policy check /etc/quarantine/policies",
		Args:    cobra.ExactArgs(1),
		RunE: a.does(func(_ context.Context, args []string) error {
			if err := policy.Check(args[0]); err != nil {
				return mistakes(args[0], err)
			}
			return a.print(map[string]any{"path": args[0], "valid": true}, func(p *page) { p.line("%s is good", args[0]) })
		}),
	}
}

// mistakes puts each mistake on a line of its own.
func mistakes(path string, err error) error {
	if !errors.Is(err, quarantine.ErrInvalid) {
		return fmt.Errorf("%w: %w", errFailed, err)
	}
	text := strings.TrimPrefix(err.Error(), quarantine.ErrInvalid.Error()+" policy: ")
	return fmt.Errorf("%w: %s has mistakes:\n%s", errFailed, path, text)
}
