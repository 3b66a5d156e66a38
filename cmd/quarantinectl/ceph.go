package main

import "github.com/spf13/cobra"

func cephCommand(a *app) *cobra.Command {
	return group(a, "ceph", "The guard of pools, and caps of keys", "The guard of pools, and caps of keys.",
		cephGuardCommand(a), cephCapsCommand(a))
}
