package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newRoot(a *app) *cobra.Command {
	root := group(a, "quarantinectl", "Find, hold, give back and purge the disks of deleted VMs",
		`Quarantinectl finds, holds, gives back and purges the disks of deleted VMs. It
asks the daemon, quarantined, over HTTP.

ENVIRONMENT
  QUARANTINE_SERVER      the daemon's URL, as --server
  QUARANTINE_TOKEN_FILE  the file with the token, as --token-file
  QUARANTINE_TOKEN       the token itself
`+exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitRefused, exitPartial, exitUnreachable))
	root.Example = `  quarantinectl list --address 192.0.2.7 --from 2026-11-17
  quarantinectl show 3fa1c09be2d47a55`
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true

	flags := root.PersistentFlags()
	flags.StringVar(&a.server, "server", "", "the daemon's `URL` (QUARANTINE_SERVER; "+defaultServer+")")
	flags.StringVar(&a.tokenFile, "token-file", "", "the `file` with the token (QUARANTINE_TOKEN_FILE)")
	flags.StringVar(&a.caFile, "ca-file", "", "PEM `file` of the authorities to trust instead of the system's")
	flags.StringVarP(&a.output, "output", "o", outputTable, "output `form`: table, json or yaml")
	flags.DurationVar(&a.timeout, "timeout", 0, "how long to wait for the answer to looks and short acts (30s)")
	complete(root, "output", outputTable, outputJSON, outputYAML)

	root.AddCommand(
		listCommand(a), showCommand(a),
		restoreCommand(a), exportCommand(a), isolateCommand(a),
		caseCommand(a), standingCommand(a),
		holdCommand(a), releaseCommand(a), extendCommand(a), shortenCommand(a), purgeCommand(a), requestCommand(a),
		policyCommand(a), cephCommand(a), hookCommand(a),
		runCommand(a), collectCommand(a), statusCommand(a), doctorCommand(a), coverageCommand(a), parentsCommand(a), capacityCommand(a), catalogCommand(a), custodyCommand(a),
		opennebulaCommand(a),
		completionCommand(a), versionCommand(a),
	)
	return root
}

// group makes a command that only has commands below it. Without one, or with
// one that is not there, it is a mistake in the usage.
func group(a *app, use, short, long string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0])
		}
		var names []string
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				names = append(names, c.Name())
			}
		}
		return fmt.Errorf("%s needs a command: %s", cmd.CommandPath(), strings.Join(names, ", "))
	}
	cmd.AddCommand(children...)
	return cmd
}
