package api

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

type factsInput struct {
	Body wire.PolicyFacts
}

// explainFacts says what would be decided by facts that are given by hand. Nothing is
// recorded. The facts go the way of a disk's, so that the answer is the one that a
// disk would get.
func (s *Server) explainFacts(_ context.Context, in *factsInput) (*answer[wire.FactsExplanation], error) {
	b := in.Body
	if b.DeletedAt.IsZero() {
		b.DeletedAt = s.cfg.Clock()
	}
	b.DeletedAt = b.DeletedAt.UTC().Truncate(time.Second)
	if b.CreatedAt.After(b.DeletedAt) {
		return nil, fmt.Errorf("created_at %s is after deleted_at %s: %w", b.CreatedAt.UTC().Format(time.RFC3339), b.DeletedAt.Format(time.RFC3339), quarantine.ErrInvalid)
	}
	del, err := deletionOf(b)
	if err != nil {
		return nil, err
	}
	f := s.cfg.Policy.Facts(quarantine.Disk{
		Key:          s.poolOf(b.Cloud, quarantine.DiskRef{Pool: b.Pool, Namespace: b.Namespace}).Key(""),
		OriginalName: b.OriginalName, Role: b.Role, SizeBytes: b.SizeBytes, Capture: cmp.Or(b.Capture, quarantine.CaptureGuard), DeletedAt: b.DeletedAt, Deletion: del,
	})
	if del != nil && del.Cloud == "" {
		// The cloud of a real deletion is always known.
		for _, p := range s.cfg.Clusters.Pools() {
			if p.PoolRef == f.Pool {
				del.Cloud, f.Cloud = p.Cloud, p.Cloud
			}
		}
	}
	dec, trace := s.cfg.Policy.Explain(f)
	return answered(wire.FactsExplanation{DeletedAt: b.DeletedAt, RetainUntil: b.DeletedAt.Add(dec.Retain), Decision: dec, Trace: listed(trace)}, nil)
}

// deletionOf is the deletion that the facts tell, nil for an unexplained disk.
func deletionOf(b wire.PolicyFacts) (*quarantine.Deletion, error) {
	d := quarantine.Deletion{
		Cloud: b.Cloud, CloudType: b.CloudType, Kind: b.Kind, ResourceKind: b.ResourceKind, ResourceID: b.ResourceID, ResourceName: b.ResourceName,
		ServerID: b.ServerID, Project: b.Project, User: b.User, Deleter: b.Deleter, Flavor: b.Flavor, Image: b.Image, Host: b.Host,
		AvailabilityZone: b.AvailabilityZone, Metadata: b.Metadata, Tags: b.Tags, Addresses: b.Addresses, CreatedAt: b.CreatedAt,
	}
	if b.Unexplained {
		// An answer that left some of what was given out of account would mislead.
		if !reflect.ValueOf(d).IsZero() {
			return nil, fmt.Errorf("of an unexplained disk only pool, namespace, original_name, role, size_bytes, capture and deleted_at are known: %w", quarantine.ErrInvalid)
		}
		return nil, nil
	}
	d.Kind, d.ResourceKind = cmp.Or(d.Kind, quarantine.KindDelete), cmp.Or(d.ResourceKind, quarantine.ResourceVM)
	return &d, nil
}
