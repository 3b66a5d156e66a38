package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/quarantine"
)

func doctorCommand(a *app) *cobra.Command {
	var authList string
	var deep bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what should be mended",
		Long: `Look for what should be mended, and say how. A fault is exit status 1; a warning
is not.

With --ceph-auth the output of "ceph auth ls -f json" is judged here: every
client's key is named whose caps could switch the guard of a pool off. The
secrets in it are dropped while it is read, and nothing of it is sent anywhere.

With --deep every row of the catalog is compared with its image, trash entry,
snapshots, record and custody log instead, and every trash entry and image under
a name of the service's own with the rows. Nothing is changed. It reads each
image once, and can take an hour for a million disks.
` + exitHelp(exitDone, exitFailed, exitUsage, exitUnreachable),
		Example: `  quarantinectl doctor
  ceph auth ls -f json | quarantinectl doctor --ceph-auth -
  quarantinectl doctor --deep -o json`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
		if deep {
			return a.check(ctx, c)
		}
		found, err := a.diagnose(ctx, c, authList)
		if err != nil {
			return err
		}
		if err := a.print(found, func(p *page) { findings(p, found) }); err != nil {
			return err
		}
		faults := 0
		for _, f := range found {
			if f.Severity == quarantine.SeverityFault {
				faults++
			}
		}
		if faults > 0 {
			return fmt.Errorf("%w: %d of %d things are to be mended now", errFailed, faults, len(found))
		}
		return nil
	})
	cmd.Flags().StringVar(&authList, "ceph-auth", "", "`file` with the output of ceph auth ls -f json, or - for standard input")
	cmd.Flags().BoolVar(&deep, "deep", false, "compare everything in the books with Ceph")
	cmd.MarkFlagsMutuallyExclusive("deep", "ceph-auth")
	return cmd
}

// diagnose is what the daemon found, and what the list of keys shows.
func (a *app) diagnose(ctx context.Context, c *client.Client, authList string) ([]quarantine.Finding, error) {
	if authList == "" {
		return c.Doctor(ctx)
	}
	// Read first: a list that cannot be judged should not look judged.
	keys, err := a.readKeys(authList)
	if err != nil {
		return nil, err
	}
	st, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	found, err := c.Doctor(ctx)
	if err != nil {
		return nil, err
	}
	return append(withoutKeys(found), judgeKeys(keys, guardedPools(st.Guards))...), nil
}

func findings(p *page, found []quarantine.Finding) {
	const indent = "       "
	for _, f := range found {
		lines := p.broken(len(indent), f.Subject+": "+f.Problem)
		fmt.Fprintf(p, "%-6s %s\n", f.Severity, lines[0])
		for _, l := range lines[1:] {
			p.line("%s%s", indent, l)
		}
		if f.Hint != "" {
			// In one line, so that it can be copied.
			p.line("%shint: %s", indent, f.Hint)
		}
	}
}
