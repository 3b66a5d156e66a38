package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

func showCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show one disk: what it was, its dates, holds and custody entries",
		Long: `Show one disk: what it was, its dates, holds and custody entries. The id may be
cut after any digit that makes it the only one.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitUnreachable),
		Example:           "  quarantinectl show 3fa1c09be2d47a55\n  quarantinectl show 3fa1 -o yaml",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeDisk,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			d, err := look(ctx, c, args[0])
			if err != nil {
				return err
			}
			return a.print(d, func(p *page) { showDisk(p, d) })
		}),
	}
}

func showDisk(p *page, d wire.DiskDetail) {
	p.summary(d.Disk)
	showIdentity(p, d.Disk)
	showImage(p, d.Disk)
	if len(d.Holds) > 0 {
		p.line("")
		p.line("holds")
		p.grid([]column{{title: "  CASE", fit: cut}, {title: "PLACED (UTC)"}, {title: "BY", fit: cut}, {title: "REASON", fit: wrap}}, holdRows(d.Holds))
	}
	p.line("")
	p.line("custody")
	if d.CustodyFault != "" {
		p.paragraph("  ", "THESE ENTRIES ARE NOT TO BE TRUSTED: "+d.CustodyFault)
	}
	if len(d.Custody) == 0 {
		p.line("  no entry")
	}
	for _, e := range d.Custody {
		showEntry(p, e)
	}
}

// showEntry writes a custody entry: when, what and who on a line of its own.
func showEntry(p *page, e quarantine.Entry) {
	const indent = "      "
	p.line("  %s  %s: %s, by %s", exact(e.At), e.Act, e.Outcome, e.Actor)
	if e.Reason != "" {
		p.paragraph(indent, e.Reason)
	}
	var details []string
	for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
		details = append(details, k+"="+e.Detail[k])
	}
	if len(details) > 0 {
		p.paragraph(indent, strings.Join(details, ", "))
	}
}

// summary is the line that says which disk this is and how it is.
func (p *page) summary(d wire.Disk) {
	held := ""
	if d.Held {
		held = ", on hold"
	}
	p.line("disk %s: %s, %s%s", d.ID, diskName(d), d.State, held)
}

// field writes a name and a value, unless there is none.
func (p *page) field(name string, parts ...string) {
	value := strings.TrimSpace(strings.Join(parts, " "))
	if value == "" || value == "-" {
		return
	}
	const indent = "                  "
	lines := p.broken(len(indent), value)
	fmt.Fprintf(p, "  %-16s%s\n", name, strings.Join(lines, "\n"+indent))
}

// beside writes a second name in brackets, where it says more than the first.
func beside(first, second string) string {
	if second == "" || second == first {
		return first
	}
	return first + " (" + second + ")"
}

func showIdentity(p *page, d wire.Disk) {
	p.line("")
	if !d.Explained {
		p.line("what it was")
		p.field("", "no event has said it (unexplained)")
		return
	}
	p.line("what it was")
	p.field(d.ResourceKind, beside(either(d.ResourceName, d.ResourceID), d.ResourceID))
	p.field("of VM", d.ServerID)
	p.field("how it died", d.Kind)
	p.field("cloud", beside(d.Cloud, d.CloudType))
	p.field("project", beside(d.Project, d.ProjectID))
	p.field("user", beside(d.User, d.UserID))
	p.field("user subject", d.UserSubject)
	p.field("deleted by", beside(d.Deleter, d.DeleterID))
	for i, n := range d.NICs {
		name := ""
		if i == 0 {
			name = "addresses"
		}
		p.field(name, beside(either(n.IP, n.MAC), strings.Join(notEmpty(n.MAC, n.Network, n.PortID), ", ")))
	}
	p.field("booted from", d.Image)
	p.field("flavor", d.Flavor)
	p.field("host", d.Host)
	p.field("zone", d.AvailabilityZone)
	p.field("tags", strings.Join(d.Tags, ", "))
	for _, k := range slices.Sorted(maps.Keys(d.Metadata)) {
		p.field("metadata", k+"="+d.Metadata[k])
	}
	p.field("made", exact(d.CreatedAt))
	p.field("request", d.RequestID)
	p.field("deletion", d.DeletionID)
}

func showImage(p *page, d wire.Disk) {
	used := "not measured yet"
	if d.UsedBytes >= 0 {
		used = size(d.UsedBytes) + " used"
	}
	sealed := "not sealed"
	if d.Sealed {
		sealed = "sealed"
	}
	p.line("")
	p.line("image")
	p.field("name", d.OriginalName)
	p.field("place", poolOf(d)+"/"+d.ImageID)
	p.field("cluster", d.Cluster)
	p.field("role", d.Role)
	p.field("size", size(d.SizeBytes)+",", used)
	p.field("captured", d.Capture+",", sealed)
	if !d.SealBrokenAt.IsZero() {
		p.field("seal broken", exact(d.SealBrokenAt)+": what is sealed now was taken after that")
	}
	if d.Parent != nil {
		p.field("cloned from", standsOn(*d.Parent))
	}
	if c := d.CopyOf; c != nil {
		p.field("isolated from", c.Disk, "("+c.Key.String()+"),", exact(c.CopiedAt))
		p.field("sha256", c.SHA256)
	}
	for _, c := range d.Copies {
		p.field("isolated copy", c.Disk, "("+c.Key.String()+"),", exact(c.CopiedAt))
		p.field("sha256", c.SHA256)
	}
	p.line("")
	p.line("dates")
	p.field("deleted", exact(d.DeletedAt))
	p.field("quarantined", exact(d.QuarantinedAt))
	p.field("kept until", exact(d.RetainUntil))
	p.field("because", d.Reason)
	p.field("expiring since", exact(d.ExpiringAt))
	p.field("early purge by", d.EarlyBy)
	p.field("early because", d.EarlyWhy)
	p.field("purged", exact(d.PurgedAt))
	p.field("restored", exact(d.RestoredAt), d.RestoredTo)
}

func holdRows(holds []quarantine.Hold) [][]string {
	var rows [][]string
	for _, h := range holds {
		reason := h.Reason
		if !h.Open() {
			reason += fmt.Sprintf(" (released %s by %s: %s)", moment(h.Released), h.ReleaseBy, h.ReleaseReason)
		}
		rows = append(rows, []string{"  " + h.CaseID, moment(h.PlacedAt), h.By, reason})
	}
	return rows
}

func notEmpty(words ...string) []string {
	return slices.DeleteFunc(words, func(s string) bool { return s == "" })
}
