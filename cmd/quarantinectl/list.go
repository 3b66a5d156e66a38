package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

type listFlags struct {
	query         client.Query
	states        []string
	held          bool
	from, to      string
	limit, offset int
	all           bool
}

func listCommand(a *app) *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the disks that filters select",
		Long: `List the disks that filters select, all of which must be true. --from and --to
are about when a disk was deleted; a date is the beginning of that day in UTC.
No disk is an empty list and no error; not found (3) is a pool that the daemon
does not know.

With --vm and without --sort the disks of each VM stand together: root,
ephemeral, swap, config, rescue, volumes.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitUnreachable),
		Example: `  # Who had the address on that Tuesday, and was deleted since?
  quarantinectl list --address 192.0.2.7 --from 2026-11-17
  quarantinectl list --state quarantined,expiring --held --sort retain_until
  quarantinectl list --unexplained --all -o json`,
		Args:    cobra.NoArgs,
		Aliases: []string{"ls"},
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
		if err := f.check(cmd.Flags().Changed("held")); err != nil {
			return err
		}
		if err := a.list(ctx, c, f); err != nil {
			return noPool(err)
		}
		return nil
	})
	flags := cmd.Flags()
	flags.StringSliceVar(&f.states, "state", nil, "`states`, with commas between")
	flags.StringVar(&f.query.Pool, "pool", "", "`pool`, or pool/namespace")
	flags.StringVar(&f.query.Cloud, "cloud", "", "`name` of the cloud")
	flags.StringVar(&f.query.Project, "project", "", "`name` or id of the project")
	flags.StringVar(&f.query.User, "user", "", "`name` or id of the owner, or of who deleted it")
	flags.StringVar(&f.query.VM, "vm", "", "`name` or id of the VM, also of one that a volume was attached to")
	flags.StringVar(&f.query.Address, "address", "", "`IP` or MAC that the VM had")
	flags.StringVar(&f.query.CaseID, "case", "", "`id` of the case of an open hold")
	flags.StringVar(&f.query.NamePrefix, "name", "", "`name` of the image, or its beginning before one of _ . - @")
	flags.BoolVar(&f.held, "held", false, "only disks with an open hold; --held=false: without")
	flags.BoolVar(&f.query.Unexplained, "unexplained", false, "only disks that no event says anything about")
	flags.StringVar(&f.from, "from", "", "deleted at this `time` or later")
	flags.StringVar(&f.to, "to", "", "deleted before this `time`")
	flags.StringVar(&f.query.Sort, "sort", "", "`field`: "+strings.Join(sortKeys, ", "))
	flags.BoolVar(&f.query.Desc, "desc", false, "the greatest first")
	flags.IntVar(&f.limit, "limit", 100, "`number` of disks, at most 1000")
	flags.IntVar(&f.offset, "offset", 0, "`number` of disks to leave out before them")
	flags.BoolVar(&f.all, "all", false, "all disks, page by page")
	cmd.MarkFlagsMutuallyExclusive("all", "limit")
	cmd.MarkFlagsMutuallyExclusive("all", "offset")
	complete(cmd, "sort", sortKeys...)
	completeWith(cmd, "state", completeStates)
	return cmd
}

// check reads the flags that need it into the query.
func (f *listFlags) check(held bool) error {
	for _, s := range f.states {
		if !slices.Contains(quarantine.States(), quarantine.State(s)) {
			return fmt.Errorf("%w: --state %q is none of %v", errUsage, s, quarantine.States())
		}
		f.query.States = append(f.query.States, quarantine.State(s))
	}
	if f.query.Sort != "" && !slices.Contains(sortKeys, f.query.Sort) {
		return fmt.Errorf("%w: --sort %q is none of %s", errUsage, f.query.Sort, strings.Join(sortKeys, ", "))
	}
	if f.limit < 1 || f.limit > client.MaxPage || f.offset < 0 {
		return hint(fmt.Errorf("%w: --limit is from 1 to %d, and --offset is not negative", errUsage, client.MaxPage), "--all lists all disks")
	}
	if held {
		f.query.Held = &f.held
	}
	var err error
	if f.from != "" {
		if f.query.From, err = parseTime(f.from); err != nil {
			return err
		}
	}
	if f.to != "" {
		f.query.To, err = parseTime(f.to)
	}
	return err
}

func (a *app) list(ctx context.Context, c *client.Client, f listFlags) error {
	found := wire.DiskPage{Disks: []wire.Disk{}}
	if f.all {
		for d, err := range c.Disks(ctx, f.query) {
			if err != nil {
				return err
			}
			found.Disks = append(found.Disks, d)
		}
	} else {
		page, err := c.DiskPage(ctx, f.query, f.limit, f.offset)
		if err != nil {
			return err
		}
		found.Total, found.AtLeast = page.Total, page.AtLeast
		found.Disks = append(found.Disks, page.Disks...)
	}
	if f.query.VM != "" && f.query.Sort == "" {
		byRole(found.Disks)
	}
	err := a.print(found.Disks, func(p *page) { diskTable(p, found.Disks) })
	if end := f.offset + len(found.Disks); err == nil && (int64(end) < found.Total || found.AtLeast) && len(found.Disks) > 0 {
		of := strconv.FormatInt(found.Total, 10)
		if found.AtLeast {
			of = "more than " + of
		}
		a.say("hint: %d of %s disks; the next with --offset %d, all of them with --all", len(found.Disks), of, end)
	}
	return err
}

func diskTable(p *page, disks []wire.Disk) {
	columns := []column{
		{title: "ID"}, {title: "STATE"}, {title: "NAME", fit: cut}, {title: "DELETED (UTC)"},
		{title: "PROJECT", fit: cut, extra: true}, {title: "USER", fit: cut, extra: true},
		{title: "ADDRESSES", fit: cut, extra: true}, {title: "KEPT UNTIL", extra: true}, {title: "SIZE", extra: true, right: true},
		{title: "ROLE", extra: true}, {title: "POOL", extra: true}, {title: "CLOUD", extra: true},
	}
	var rows [][]string
	for _, d := range disks {
		rows = append(rows, []string{
			d.ID, d.State, diskName(d), moment(d.DeletedAt), either(d.Project), either(d.User),
			either(strings.Join(d.Addresses, " ")), keptUntil(d), size(d.SizeBytes),
			either(d.Role), poolOf(d), either(d.Cloud),
		})
	}
	p.grid(columns, rows)
}

func poolOf(d wire.Disk) string {
	return quarantine.PoolRef{Pool: d.Pool, Namespace: d.Namespace}.String()
}
