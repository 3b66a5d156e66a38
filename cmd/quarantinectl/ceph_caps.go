package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"quarantine/internal/cephcaps"
	"quarantine/internal/quarantine"
)

// keyCaps is what one key should be allowed.
type keyCaps struct {
	Entity string   `json:"entity"`
	Pools  []string `json:"pools"`
	Mon    string   `json:"mon"`
	Mgr    string   `json:"mgr,omitempty"`
	OSD    string   `json:"osd"`
	// Command gives the key these caps.
	Command string `json:"command"`
}

// capsAnswer is what `ceph caps` prints.
type capsAnswer struct {
	Cloud      keyCaps `json:"cloud"`
	Quarantine keyCaps `json:"quarantine"`
}

type capsFlags struct {
	pools, plain, data  []string
	journaling          bool
	cloud               string
	cloudEntity, entity string
}

func cephCapsCommand(a *app) *cobra.Command {
	var f capsFlags
	cmd := &cobra.Command{
		Use:   "caps [--pool POOL]… [--plain POOL]…",
		Short: "Print the commands that give the cloud's key and ours the right caps",
		Long: `Print the commands that give two Ceph keys the right caps: the cloud's, with
which every operation of the cloud works and the guard cannot be switched off,
and the service's own, the smallest that work. Nothing is run. Both keys must
exist; "ceph auth caps" replaces all caps of a key, so name every pool it uses:
the guarded ones with --pool, the others (base images, say) with --plain, and
those that hold only the data of images (rbd create --data-pool) with
--data-pool; "rbd pool init" must have been run on the latter.

Without --pool the guarded pools of the daemon's configuration are taken. With
it no daemon is asked.
` + exitHelp(exitDone, exitFailed, exitUsage, exitUnreachable),
		Example: `  quarantinectl ceph caps --pool vms --pool volumes --plain images
  quarantinectl ceph caps --pool one --cloud-entity client.libvirt`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = a.does(func(ctx context.Context, _ []string) error {
		theirs, ours := f.pools, f.pools
		if len(f.pools) == 0 {
			all, err := a.guards(ctx)
			if err != nil {
				return err
			}
			if theirs, ours, err = poolsOf(all, f.cloud); err != nil {
				return err
			}
		}
		cloud, own := cephcaps.CloudCaps(theirs, f.plain...).WithDataPools(f.data...), cephcaps.QuarantineCaps(ours...).WithDataPools(f.data...)
		if f.journaling {
			cloud, own = cloud.WithJournaling(theirs...), own.WithJournaling(ours...)
		}
		answer := capsAnswer{
			Cloud:      newKeyCaps(f.cloudEntity, slices.Concat(theirs, f.plain, f.data), cloud),
			Quarantine: newKeyCaps(f.entity, slices.Concat(ours, f.data), own),
		}
		return a.print(answer, func(p *page) {
			p.line("# the key of the cloud; this replaces all its caps: name every pool it uses")
			p.line("%s", answer.Cloud.Command)
			p.line("# the key of quarantined; where it does not exist yet, first:")
			p.line("#   ceph auth get-or-create %s -o /etc/ceph/ceph.%s.keyring", f.entity, f.entity)
			p.line("%s", answer.Quarantine.Command)
		})
	})
	flags := cmd.Flags()
	flags.StringSliceVar(&f.pools, "pool", nil, "a guarded `pool`, or pool/namespace")
	flags.StringSliceVar(&f.plain, "plain", nil, "a `pool` of the cloud that is not guarded")
	flags.StringSliceVar(&f.data, "data-pool", nil, "a data `pool` of images of the others")
	flags.BoolVar(&f.journaling, "journaling", false, "images have the feature journaling")
	flags.StringVar(&f.cloud, "cloud", "", "`name` of the cloud whose guarded pools are taken")
	flags.StringVar(&f.cloudEntity, "cloud-entity", "client.openstack", "`name` of the cloud's key")
	flags.StringVar(&f.entity, "entity", ownEntity, "`name` of the service's key")
	cmd.MarkFlagsMutuallyExclusive("pool", "cloud")
	return cmd
}

func newKeyCaps(entity string, pools []string, c cephcaps.Caps) keyCaps {
	return keyCaps{Entity: entity, Pools: pools, Mon: c.Mon, Mgr: c.Mgr, OSD: c.OSD, Command: cephcaps.Command(entity, c)}
}

// guards asks the daemon for its pools.
func (a *app) guards(ctx context.Context) ([]quarantine.GuardStatus, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	st, err := c.Status(ctx)
	return st.Guards, err
}

// poolsOf returns the guarded pools of a cloud, for its key, and all pools
// that are in the service's care beside them, for ours. One key is of one
// cloud and one cluster: with several it must be said which.
func poolsOf(all []quarantine.GuardStatus, cloud string) (theirs, ours []string, err error) {
	clouds, clusters := map[string]bool{}, map[string]bool{}
	for _, st := range all {
		if st.Pool.Guarded && !st.Pool.Evidence && (cloud == "" || cloud == st.Pool.Cloud) {
			theirs = append(theirs, st.Pool.PoolRef.String())
			clouds[st.Pool.Cloud], clusters[st.Pool.FSID] = true, true
		}
	}
	switch {
	case len(theirs) == 0:
		return nil, nil, hint(fmt.Errorf("%w: the daemon has no guarded pool of such a cloud", errUsage), "name the pools with --pool")
	case len(clouds) > 1:
		return nil, nil, hint(fmt.Errorf("%w: the guarded pools belong to several clouds, each with a key of its own", errUsage), "--cloud NAME")
	case len(clusters) > 1:
		return nil, nil, hint(fmt.Errorf("%w: the guarded pools are in several clusters, each with keys of its own", errUsage), "name the pools with --pool")
	}
	for _, st := range all {
		if clusters[st.Pool.FSID] {
			ours = append(ours, st.Pool.PoolRef.String())
		}
	}
	return theirs, ours, nil
}
