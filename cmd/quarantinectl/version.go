package main

import (
	"context"
	"runtime"

	"github.com/spf13/cobra"
)

func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Long: `Print the version of this program. That of the daemon stands in quarantinectl
status.
` + exitHelp(exitDone, exitFailed, exitUsage),
		Example: "  quarantinectl version -o json",
		Args:    cobra.NoArgs,
		RunE: a.does(func(context.Context, []string) error {
			v := map[string]string{"version": version, "go": runtime.Version()}
			return a.print(v, func(p *page) { p.line("quarantinectl %s (%s)", v["version"], v["go"]) })
		}),
	}
}
