package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
)

func completionCommand(a *app) *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	cmd := &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print the completion script for your shell",
		Long: `Print the completion script for your shell. It completes commands, flags, states
and sources, and asks the daemon for the ids of disks.
` + exitHelp(exitDone, exitFailed, exitUsage),
		Example:   "  source <(quarantinectl completion bash)",
		Args:      cobra.ExactArgs(1),
		ValidArgs: shells,
	}
	cmd.RunE = a.does(func(_ context.Context, args []string) error {
		var err error
		switch args[0] {
		case "bash":
			err = cmd.Root().GenBashCompletionV2(a.stdout, true)
		case "zsh":
			err = cmd.Root().GenZshCompletion(a.stdout)
		case "fish":
			err = cmd.Root().GenFishCompletion(a.stdout, true)
		}
		if !slices.Contains(shells, args[0]) {
			return fmt.Errorf("%w: %q is none of %v", errUsage, args[0], shells)
		}
		if err != nil {
			return fmt.Errorf("write the script: %w", err)
		}
		return nil
	})
	return cmd
}
