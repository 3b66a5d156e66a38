package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
)

func restoreCommand(a *app) *cobra.Command {
	var r wire.RestoreRequest
	var to string
	var yes bool
	cmd := &cobra.Command{
		Use:   "restore ID --to [POOL[/NAMESPACE]/]NAME | --in-place",
		Short: "Give a disk back, as a clone or in place",
		Long: `Give a disk back as a working RBD image.

With --to it is a copy-on-write clone under a new name, in the disk's own pool
or in another of the same cluster; quarantine keeps its copy. --flatten makes
the clone independent of it, which copies the blocks.

With --in-place the disk itself leaves quarantine, under its old name in its
old pool. It asks first.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitRefused, exitUnreachable),
		Example: `  quarantinectl restore 3fa1c09be2d47a55 --to volumes/evidence-4711 --reason "case 4711"
  quarantinectl restore 3fa1c09be2d47a55 --in-place --reason "deleted by mistake"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeDisk,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		err := checkID(args[0])
		if err == nil && r.InPlace {
			_, err = a.confirmDisk(ctx, c, args[0], yes, "Give it back in place? It leaves quarantine.")
		} else if err == nil {
			r.Pool, r.Namespace, r.Name, err = parseImage(to)
		}
		if err != nil {
			return err
		}
		return a.restore(ctx, c, args[0], r)
	})
	cmd.Flags().StringVar(&to, "to", "", "the clone's `image`: NAME, POOL/NAME or POOL/NAMESPACE/NAME")
	cmd.Flags().BoolVar(&r.Flatten, "flatten", false, "make the clone independent of the disk")
	cmd.Flags().BoolVar(&r.InPlace, "in-place", false, "give the disk itself back, under its old name")
	cmd.MarkFlagsOneRequired("to", "in-place")
	cmd.MarkFlagsMutuallyExclusive("to", "in-place")
	cmd.MarkFlagsMutuallyExclusive("flatten", "in-place")
	reasonFlag(cmd, &r.Reason)
	yesFlag(cmd, &yes)
	return cmd
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
