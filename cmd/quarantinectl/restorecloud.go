package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// restoreKinds are the values of --as.
var restoreKinds = []string{wire.RestoreVolume, wire.RestoreImage, wire.RestoreServer}

// cloudFlags are the flags of a restore to a cloud.
func cloudFlags(cmd *cobra.Command, r *wire.RestoreRequest, vm *wire.VMRestoreRequest) {
	f := cmd.Flags()
	f.StringVar(&r.As, "as", "", "`kind` of what a cloud is to make of it: volume, image or server")
	f.StringVar(&r.Name, "name", "", "`name` of what is made; default is after what it was")
	f.StringVar(&r.Cloud, "cloud", "", "`name` of the cloud; default is the disk's own")
	f.StringVar(&r.Project, "project", "", "`name` or id of the project, in OpenNebula the group, that is to own it")
	f.StringVar(&r.Domain, "domain", "", "`name` or id of the project's domain")
	f.StringVar(&r.Owner, "owner", "", "`name` or id of the user that is to own it (OpenNebula)")
	f.StringVar(&r.VolumeType, "volume-type", "", "`type` of the volumes; in OpenNebula the image datastore")
	f.BoolVar(&r.Bootable, "bootable", false, "make a volume bootable that is of no root disk")
	f.BoolVar(&r.NoFlatten, "no-flatten", false, "leave the volumes copy-on-write clones of the disks")
	f.BoolVar(&r.Move, "move", false, "give the disk itself, not a copy")
	f.BoolVar(&r.Upload, "upload", false, "send an image's bytes, not its location")
	f.StringVar(&r.Network, "network", "", "`name` or id of a server's network")
	f.StringVar(&r.Flavor, "flavor", "", "`name` or id of a server's flavor; default is the smallest that fits")
	f.BoolVar(&r.Defanged, "defanged", false, "a server without network, config drive, user data and key")
	f.StringVar(&vm.VM, "vm", "", "`name` or id of a VM, all disks of which are given back")
	f.StringVar(&vm.Deletion, "deletion", "", "`id` of the deletion, where the VM's disks died by several")
	f.BoolVar(&vm.All, "all-disks", false, "the VM's swap, config drive and rescue disk too")
	f.BoolVar(&r.DryRun, "dry-run", false, "show what would be made, and do nothing")
	cmd.MarkFlagsMutuallyExclusive("network", "defanged")
	complete(cmd, "as", restoreKinds...)
}

// restoreToCloud gives one disk back to a cloud.
func (a *app) restoreToCloud(ctx context.Context, c *client.Client, id string, r wire.RestoreRequest) error {
	if r.DryRun {
		plan, err := c.PlanRestore(ctx, id, r)
		if err != nil {
			return err
		}
		return a.plan(plan)
	}
	return a.clouded(ctx, r.Move, func(tell func(wire.Step)) (wire.CloudResult, error) { return c.RestoreToCloud(ctx, id, r, tell) })
}

// restoreVM gives all disks of a VM back to a cloud.
func (a *app) restoreVM(ctx context.Context, c *client.Client, r wire.VMRestoreRequest) error {
	err := func() error {
		if r.DryRun {
			plan, err := c.PlanVM(ctx, r)
			if err != nil {
				return err
			}
			return a.plan(plan)
		}
		return a.clouded(ctx, false, func(tell func(wire.Step)) (wire.CloudResult, error) { return c.RestoreVM(ctx, r, tell) })
	}()
	if errors.Is(err, quarantine.ErrInvalid) {
		return hint(err, "quarantinectl list --vm %s; name the VM by its id, choose with --deletion, or restore disk by disk", r.VM)
	}
	return err
}

// clouded shows how far the restore is, and what came of it; also what was taken
// back where it failed.
func (a *app) clouded(ctx context.Context, moved bool, restore func(tell func(wire.Step)) (wire.CloudResult, error)) error {
	defer context.AfterFunc(ctx, func() {
		a.say("cancelling: waiting for the daemon to take back what it has made; interrupt again to leave it alone")
	})()
	stages := &stageBar{app: a}
	defer stages.end()
	res, err := restore(stages.at)
	stages.end()
	if err == nil {
		return a.print(res, func(p *page) { resultPage(p, res, moved) })
	}
	for _, what := range res.Removed {
		a.say("taken back: %s", printable(what))
	}
	for _, what := range res.Left {
		a.say("left behind: %s", printable(what))
	}
	var problem *wire.Problem
	if errors.As(err, &problem) && problem.Code == wire.CodeCancelled {
		return hint(fmt.Errorf("%w: %w", errFailed, err), "the disks are in quarantine as before")
	}
	return err
}

// stageBar shows a bar for each stage, one after the other.
type stageBar struct {
	app   *app
	stage string
	bar   *progressBar
}

// at shows a step. A stage that does not tell how much there is to do stands at
// nothing until it is over.
func (s *stageBar) at(step wire.Step) {
	stage := step.Stage
	if step.DiskID != "" {
		stage += " " + step.DiskID
	}
	if s.bar == nil || stage != s.stage {
		s.end()
		s.stage, s.bar = stage, s.app.newProgress(stage, step.Stage == quarantine.StageUpload)
	}
	s.bar.at(step.Done, max(step.Total, 1))
}

func (s *stageBar) end() {
	if s.bar != nil {
		s.bar.end()
		s.bar = nil
	}
}

// resultPage tells what was made.
func resultPage(p *page, res wire.CloudResult, moved bool) {
	for _, m := range res.Made {
		of := ""
		if project := m.Project.Label(); project != "" {
			of = " in project " + project
		}
		p.line("%s %s (%s)%s", kindName(m.Kind), m.ID, m.Name, of)
		if m.Transfer != nil {
			p.line("  it waits there to be accepted: openstack volume transfer request accept --auth-key %s %s", m.Transfer.AuthKey, m.Transfer.ID)
		}
	}
	for _, d := range res.Disks {
		if moved {
			p.line("disk %s (%s): given to the cloud itself; it has left quarantine", d.ID, diskName(d))
		} else {
			p.line("disk %s (%s): given back; quarantine keeps its own", d.ID, diskName(d))
		}
	}
}

// kindName is what a cloud's people call a resource.
func kindName(k quarantine.ResourceKind) string {
	if k == quarantine.ResourceVM {
		return "server"
	}
	return string(k)
}

// plan shows what a restore would do.
func (a *app) plan(plan quarantine.CloudPlan) error {
	return a.print(plan, func(p *page) {
		rows := [][]string{}
		for _, it := range plan.Items {
			boot := ""
			if it.Bootable {
				boot = "yes"
			}
			rows = append(rows, []string{it.Disk, either(it.Role), size(it.SizeBytes), it.How, either(it.To), it.Name, either(boot)})
		}
		p.grid([]column{{title: "DISK"}, {title: "ROLE"}, {title: "SIZE", right: true}, {title: "HOW"}, {title: "TO POOL"}, {title: "NAME", fit: cut}, {title: "BOOTS", extra: true}}, rows)
		for _, it := range plan.LeftOut {
			p.line("left out: %s (%s), %s", it.Disk, it.Name, it.Reason)
		}
		switch plan.As {
		case wire.RestoreServer:
			p.line("would make server %s of %s in cloud %s", plan.Name, counted(len(plan.Items), wire.RestoreVolume), plan.Cloud)
		default:
			p.line("would make %s in cloud %s", counted(len(plan.Items), plan.As), plan.Cloud)
		}
	})
}

// counted is how many there are of a thing.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// byRole puts the disks of each VM together, in the order in which a VM has
// them; the VMs stay in theirs.
func byRole(disks []wire.Disk) {
	first := map[string]int{}
	for i, d := range disks {
		if _, seen := first[machine(d)]; !seen {
			first[machine(d)] = i
		}
	}
	slices.SortStableFunc(disks, func(a, b wire.Disk) int {
		return cmp.Or(cmp.Compare(first[machine(a)], first[machine(b)]),
			cmp.Compare(quarantine.RoleRank(a.Role), quarantine.RoleRank(b.Role)), cmp.Compare(a.OriginalName, b.OriginalName))
	})
}

// machine identifies the VM that the disk was of.
func machine(d wire.Disk) string {
	if d.ResourceKind == string(quarantine.ResourceVM) {
		return d.Cloud + " " + d.ResourceID
	}
	return d.Cloud + " " + d.ServerID
}
