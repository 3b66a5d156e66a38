package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

func hookTryCommand(a *app) *cobra.Command {
	var source, cloud string
	cmd := &cobra.Command{
		Use:   "try --source SOURCE [--cloud NAME] FILE…|-",
		Short: "Show what payloads would record, and record nothing",
		Long: `Show which deletions the payloads in files would record; nothing is recorded. A
payload that reports no deletion is "nothing to do" (5); one that is not of the
source's form is a failure (1).
` + exitHelp(exitDone, exitFailed, exitUsage, exitPartial, exitUnreachable),
		Example: `  quarantinectl hook try --source openstack notification.json
  onevm show -x 42 | base64 -w0 | quarantinectl hook try --source opennebula -`,
		Args: cobra.MinimumNArgs(1),
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		if !slices.Contains(sources, source) {
			return fmt.Errorf("%w: --source %q is none of %s", errUsage, source, strings.Join(sources, ", "))
		}
		found := wire.Hooked{DryRun: true, Deletions: []quarantine.Deletion{}}
		for _, name := range args {
			payload, err := a.read(name)
			if err != nil {
				return err
			}
			h, err := c.Hook(ctx, source, cloud, true, payload)
			if err != nil {
				return a.inPayload(name, err)
			}
			found.Deletions = append(found.Deletions, h.Deletions...)
		}
		if err := a.print(found, func(p *page) { deletionTable(p, found.Deletions) }); err != nil {
			return err
		}
		if len(found.Deletions) == 0 {
			return errNothing
		}
		return nil
	})
	cmd.Flags().StringVar(&source, "source", "", "`form` of the payloads: "+strings.Join(sources, ", "))
	cmd.Flags().StringVar(&cloud, "cloud", "", "`name` of the cloud, where several have that form")
	required(cmd, "source")
	complete(cmd, "source", sources...)
	return cmd
}

// inPayload says in which payload the daemon found a mistake.
func (a *app) inPayload(name string, err error) error {
	if exitStatus(err) == exitUsage {
		return fmt.Errorf("%w: %s: %w", errFailed, name, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// read reads a file, or standard input for "-".
func (a *app) read(name string) ([]byte, error) {
	var b []byte
	var err error
	if name == "-" {
		b, err = io.ReadAll(a.stdin)
	} else {
		b, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("read the payload: %w", err)
	}
	return b, nil
}

func deletionTable(p *page, all []quarantine.Deletion) {
	if len(all) == 0 {
		p.line("no deletion")
	}
	for i, d := range all {
		if i > 0 {
			p.line("")
		}
		p.line("deletion %s: %s of %s %s", d.ID, d.Kind, d.ResourceKind, either(d.ResourceName, d.ResourceID))
		p.field("id", d.ResourceID)
		p.field("of VM", d.ServerID)
		p.field("cloud", beside(d.Cloud, d.CloudType))
		p.field("project", beside(d.Project.Label(), d.Project.ID))
		p.field("user", beside(d.User.Label(), d.User.ID))
		p.field("deleted by", beside(d.Deleter.Label(), d.Deleter.ID))
		for _, n := range d.Addresses {
			p.field("address", beside(either(n.IP, n.MAC), strings.Join(notEmpty(n.MAC, n.Network, n.PortID), ", ")))
		}
		p.field("made", exact(d.CreatedAt))
		p.field("started", exact(d.StartedAt))
		p.field("ended", exact(d.EndedAt))
		p.field("request", d.RequestID)
		for _, ref := range d.Disks {
			p.field("disk", diskRef(ref))
		}
	}
}

func diskRef(r quarantine.DiskRef) string {
	s := r.Name
	if r.Pool != "" {
		s = quarantine.PoolRef{Pool: r.Pool, Namespace: r.Namespace}.String() + "/" + s
	}
	if r.Prefix {
		s += " and what begins so"
	}
	if r.Required {
		return beside(s, strings.Join(notEmpty(r.Role, "must exist"), ", "))
	}
	return beside(s, r.Role)
}
