package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
)

func restoreCommand(a *app) *cobra.Command {
	var r wire.RestoreRequest
	var vm wire.VMRestoreRequest
	var to string
	var yes bool
	cmd := &cobra.Command{
		Use:   "restore ID --to IMAGE | --in-place | --as volume|image|server, or restore --vm VM --as volume|server",
		Short: "Give a disk, or a whole VM, back",
		Long: `Give a disk back as a working RBD image, or to a cloud as a volume, an image or
a server.

With --to it is a copy-on-write clone under a new name, in the disk's own pool
or in another of the same cluster; quarantine keeps its copy. --flatten makes
the clone independent of it, which copies the blocks.

With --in-place the disk itself leaves quarantine, under its old name in its
old pool. It asks first.

With --as a cloud makes it of a copy, in --project; quarantine keeps its own.
  volume  a Cinder volume; --no-flatten makes it at once, and keeps the disk
          from being purged while the volume lives. --move gives the disk
          itself instead, where the pool is the same; it leaves quarantine, and
          it asks first.
  image   a Glance image; by its location, or with --upload by its bytes.
  server  a server that boots from it, in --network, or with --defanged in
          none: without network, config drive, user data and key, for analysis.

With --vm all disks of a VM are given back as a unit: as volumes, or as a server
that boots from the root disk. Swap, config drive and rescue disk are left out
but for --all-disks. Where the VM's disks died by several acts (a rebuild and a
delete), --deletion chooses one.

What was made is taken back when something fails, and when you interrupt it; it
says what that was. --dry-run shows what would be made.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitRefused, exitUnreachable),
		Example: `  quarantinectl restore 3fa1c09be2d47a55 --to volumes/evidence-4711 --reason "case 4711"
  quarantinectl restore 3fa1c09be2d47a55 --in-place --reason "deleted by mistake"
  quarantinectl restore 3fa1c09be2d47a55 --as volume --project alice-lab --reason "asked for by alice"
  quarantinectl restore --vm web-1 --as server --defanged --project forensics --reason "case 4711"`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeDisk,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		if err := checkRestore(args, &r, &vm, to); err != nil {
			return err
		}
		if vm.VM != "" {
			return a.restoreVM(ctx, c, vm)
		}
		err := checkID(args[0])
		switch {
		case err != nil:
		case r.InPlace:
			_, err = a.confirmDisk(ctx, c, args[0], yes, "Give it back in place? It leaves quarantine.")
		case r.Move && !r.DryRun:
			_, err = a.confirmDisk(ctx, c, args[0], yes, "Give the disk itself to the cloud? It leaves quarantine.")
		case to != "":
			r.Pool, r.Namespace, r.Name, err = parseImage(to)
		}
		if err != nil {
			return err
		}
		if r.As != "" {
			return a.restoreToCloud(ctx, c, args[0], r)
		}
		return a.restore(ctx, c, args[0], r)
	})
	cmd.Flags().StringVar(&to, "to", "", "the clone's `image`: NAME, POOL/NAME or POOL/NAMESPACE/NAME")
	cmd.Flags().BoolVar(&r.Flatten, "flatten", false, "make the clone independent of the disk")
	cmd.Flags().BoolVar(&r.InPlace, "in-place", false, "give the disk itself back, under its old name")
	cloudFlags(cmd, &r, &vm)
	cmd.MarkFlagsOneRequired("to", "in-place", "as")
	cmd.MarkFlagsMutuallyExclusive("to", "in-place", "as")
	cmd.MarkFlagsMutuallyExclusive("flatten", "in-place")
	cmd.MarkFlagsMutuallyExclusive("flatten", "as")
	reasonFlag(cmd, &r.Reason)
	yesFlag(cmd, &yes)
	return cmd
}

// checkRestore refuses what does not go together, and fills in the request for a
// VM.
func checkRestore(args []string, r *wire.RestoreRequest, vm *wire.VMRestoreRequest, to string) error {
	switch {
	case len(args) == 0 && vm.VM == "":
		return fmt.Errorf("%w: which disk is not said: an id, or --vm", errUsage)
	case len(args) > 0 && vm.VM != "":
		return fmt.Errorf("%w: an id and --vm do not go together", errUsage)
	case vm.VM != "" && (to != "" || r.InPlace):
		return fmt.Errorf("%w: a VM is given back with --as volume or --as server", errUsage)
	case vm.VM == "" && (vm.Deletion != "" || vm.All):
		return fmt.Errorf("%w: --deletion and --all-disks go with --vm", errUsage)
	case r.As == "" && (r.Name != "" || r.CloudWish != (wire.CloudWish{})):
		return fmt.Errorf("%w: the flags for a cloud go with --as", errUsage)
	case r.As != "" && !slices.Contains(restoreKinds, r.As):
		return fmt.Errorf("%w: --as %q is none of %s", errUsage, r.As, strings.Join(restoreKinds, ", "))
	}
	vm.As, vm.Name, vm.CloudWish, vm.Reason = r.As, r.Name, r.CloudWish, r.Reason
	return nil
}

func (a *app) restore(ctx context.Context, c *client.Client, id string, r wire.RestoreRequest) error {
	bar := a.newProgress("flatten", false)
	defer bar.end()
	d, err := c.Restore(ctx, id, r, bar.at)
	bar.end()
	if err != nil {
		return err
	}
	if r.InPlace {
		return a.changed(d, "given back in place as %s/%s", poolOf(d), either(d.RestoredTo, d.OriginalName))
	}
	pool := r.Pool
	if pool == "" {
		pool = poolOf(d)
	} else if r.Namespace != "" {
		pool += "/" + r.Namespace
	}
	kind := "a clone"
	if r.Flatten {
		kind = "an independent copy"
	}
	return a.changed(d, "given back as %s/%s, %s; quarantine keeps its own", pool, r.Name, kind)
}

// parseImage reads NAME, POOL/NAME or POOL/NAMESPACE/NAME.
func parseImage(s string) (pool, namespace, name string, err error) {
	parts := strings.Split(s, "/")
	for _, p := range parts {
		if p == "" || len(parts) > 3 {
			return "", "", "", fmt.Errorf("%w: --to %q is not NAME, POOL/NAME or POOL/NAMESPACE/NAME", errUsage, s)
		}
	}
	name = parts[len(parts)-1]
	if len(parts) > 1 {
		pool = parts[0]
	}
	if len(parts) > 2 {
		namespace = parts[1]
	}
	return pool, namespace, name, nil
}
