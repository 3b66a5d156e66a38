package main

import "github.com/spf13/cobra"

func policyCommand(a *app) *cobra.Command {
	return group(a, "policy", "Check, try and compare policies, and explain what one decided", "Check, try and compare policies, and explain what one decided.",
		policyCheckCommand(a), policyExplainCommand(a), policySimulateCommand(a), policyDiffCommand(a), policyApplyCommand(a),
		policyLocksCommand(a), policyUnlockCommand(a), policyRelockCommand(a))
}
