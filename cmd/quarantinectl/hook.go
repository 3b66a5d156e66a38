package main

import "github.com/spf13/cobra"

func hookCommand(a *app) *cobra.Command {
	return group(a, "hook", "Try the payloads of clouds", "Try the payloads of clouds.", hookTryCommand(a))
}
