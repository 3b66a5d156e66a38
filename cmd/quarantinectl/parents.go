package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

func parentsCommand(a *app) *cobra.Command {
	var blocked bool
	cmd := &cobra.Command{
		Use:   "parents [IMAGE]",
		Short: "Show which images cannot be deleted because of disks in quarantine",
		Long: `Show the images that disks in quarantine were cloned from, and that cannot be
deleted before those disks are purged or flattened. With IMAGE, a name or an
image id, the disks that stand on it are listed.

An image is blocked when somebody wants it gone: its deletion was reported, a
snapshot of it was removed already, or it lies in the trash, its own time over.
A delete that Glance refused (409) cannot always be seen from here.

TO COPY is what a flatten of all its disks would copy, as far as it was
measured. Which disks are flattened
says the policy (flatten: on-hold, when-parent-blocked, always), and it is done
by the job flatten: quarantinectl run flatten --dry-run.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitUnreachable),
		Example: `  quarantinectl parents --blocked
  quarantinectl parents 70a3f0c2-2f0e-4c3c-9d5c-0f6c3f4c6d11 -o json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeParent,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		list, err := c.Parents(ctx)
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(p quarantine.ParentImage) bool {
			return blocked && !p.Blocked || len(args) == 1 && p.Name != args[0] && p.Key.ImageID != args[0]
		})
		if len(args) == 1 && len(list) == 0 {
			return hint(fmt.Errorf("no disk stands on an image %q: %w", args[0], quarantine.ErrNotFound), "quarantinectl parents lists the images that disks stand on")
		}
		return a.print(list, func(p *page) {
			parentTable(p, list)
			if len(args) == 1 {
				childTable(p, list)
			}
		})
	})
	cmd.Flags().BoolVar(&blocked, "blocked", false, "only images that somebody wants gone")
	return cmd
}

func parentTable(p *page, list []quarantine.ParentImage) {
	if len(list) == 0 {
		p.line("no disk in quarantine stands on another image")
		return
	}
	var rows [][]string
	for _, img := range list {
		is := "no"
		if img.Blocked {
			is = "YES"
		}
		copies := size(img.CopyBytes)
		switch {
		case img.Unmeasured == len(img.Children):
			copies = "-"
		case img.Unmeasured > 0:
			copies = "> " + copies
		}
		where := string(img.Where)
		if img.State != "" {
			where = string(img.State)
		}
		rows = append(rows, []string{parentName(img), is, fmt.Sprint(len(img.Children)), copies, where})
	}
	p.grid([]column{{title: "PARENT"}, {title: "BLOCKED"}, {title: "DISKS", right: true}, {title: "TO COPY", right: true}, {title: "WHERE"}}, rows)
	for _, img := range list {
		if why := either(img.Why, img.Fault); why != "-" {
			p.paragraph("", parentName(img)+": "+why)
		}
	}
}

func parentName(img quarantine.ParentImage) string {
	return img.Key.PoolRef().String() + "/" + img.Name
}

func childTable(p *page, list []quarantine.ParentImage) {
	var rows [][]string
	for _, img := range list {
		for _, c := range img.Children {
			copies := "-"
			if c.CopyBytes >= 0 {
				copies = size(c.CopyBytes)
			}
			rows = append(rows, []string{
				c.ID, string(c.State), either(c.ResourceName, c.OriginalName), day(c.RetainUntil), either(strings.Join(c.Holds, " ")),
				copies, beside(string(c.Flatten), c.Refused), c.Pool,
			})
		}
	}
	p.line("")
	p.grid([]column{
		{title: "DISK"}, {title: "STATE"}, {title: "NAME", fit: cut}, {title: "KEPT UNTIL"}, {title: "HOLDS", fit: cut},
		{title: "TO COPY", right: true}, {title: "FLATTEN", fit: wrap}, {title: "POOL", extra: true},
	}, rows)
}

// standsOn says what a disk was cloned from, and whether it needs that still.
func standsOn(p wire.Parent) string {
	name := quarantine.PoolRef{Pool: p.Pool, Namespace: p.Namespace}.String() + "/" + p.Name + "@" + p.Snapshot
	switch {
	case !p.FlattenedAt.IsZero():
		return name + ", flattened " + exact(p.FlattenedAt)
	case p.Refused != "":
		return name + ", which it needs for good: " + p.Refused
	case p.CopyBytes < 0:
		return name + ", which it needs"
	}
	return name + ", which it needs; " + size(p.CopyBytes) + " to flatten"
}

// completeParent offers the names of parents.
func (a *app) completeParent(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.complete(cmd, typed, func(ctx context.Context, c *client.Client, offer func(word, what string)) error {
		list, err := c.Parents(ctx)
		for _, p := range list {
			offer(p.Name, fmt.Sprintf("%s, %d disks", p.Key.PoolRef(), len(p.Children)))
		}
		return err
	})
}
