package api

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

type aliveQuery struct {
	Resource string `query:"resource" required:"true" minLength:"1" maxLength:"1000" doc:"id or name of a VM, volume or image that is alive"`
	Cloud    string `query:"cloud" doc:"name of its cloud; without it all are looked through"`
}

// maxAlive is how many resources of one name are explained.
const maxAlive = 100

// explainAlive says what would be decided about the disks of what is alive, by its
// last sighting, if it were deleted now.
func (s *Server) explainAlive(ctx context.Context, in *aliveQuery) (*answer[[]wire.AliveExplanation], error) {
	seen, err := s.cfg.Sightings.FindSightings(ctx, in.Cloud, in.Resource, maxAlive)
	if err != nil {
		return nil, err
	}
	if len(seen) == 0 {
		return nil, fmt.Errorf("nothing called %q was seen alive in a cloud: %w", in.Resource, quarantine.ErrNotFound)
	}
	now := s.cfg.Clock().UTC().Truncate(time.Second)
	out := []wire.AliveExplanation{}
	for _, sighting := range seen {
		d := sighting.Deletion
		d.StartedAt, d.EndedAt = now, time.Time{}
		x := wire.AliveExplanation{Cloud: d.Cloud, ResourceKind: d.ResourceKind, ResourceID: d.ResourceID, ResourceName: d.ResourceName,
			Project: cmp.Or(d.Project.Name, d.Project.ID), SeenAt: sighting.SeenAt, Disks: []wire.AliveDisk{}}
		refs := d.Disks
		if len(refs) == 0 {
			refs = []quarantine.DiskRef{{}}
		}
		for _, ref := range refs {
			f := s.cfg.Policy.Facts(quarantine.Disk{
				Key: s.poolOf(d.Cloud, ref).Key(""), OriginalName: ref.Name, Role: ref.Role, Capture: quarantine.CaptureGuard, DeletedAt: now, Deletion: &d,
			})
			dec, trace := s.cfg.Policy.Explain(f)
			x.Disks = append(x.Disks, wire.AliveDisk{Name: ref.Name, Pool: ref.Pool, Role: ref.Role, RetainUntil: now.Add(dec.Retain), Decision: dec, Trace: listed(trace)})
		}
		out = append(out, x)
	}
	return answered(out, nil)
}

// poolOf is the pool of that cloud that the reference names; what is not known of
// it is empty.
func (s *Server) poolOf(cloud string, ref quarantine.DiskRef) quarantine.PoolRef {
	for _, p := range s.cfg.Clusters.Pools() {
		if p.Pool == ref.Pool && p.Namespace == ref.Namespace && (p.Cloud == cloud || p.Cloud == "") {
			return p.PoolRef
		}
	}
	return quarantine.PoolRef{Pool: ref.Pool, Namespace: ref.Namespace}
}
