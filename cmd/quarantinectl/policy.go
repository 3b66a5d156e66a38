package main

import "github.com/spf13/cobra"

func policyCommand(a *app) *cobra.Command {
	return group(a, "policy", "Check a policy, and explain what one decided", "Check a policy, and explain what one decided.",
		policyCheckCommand(a), policyExplainCommand(a))
}
