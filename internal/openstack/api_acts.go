package openstack

import (
	"context"
	"errors"
	"fmt"

	"quarantine/internal/quarantine"
)

// Acts implements quarantine.CloudReader, for servers: Nova's instance actions.
// Not among them are acts of Nova itself, which it does not note: the reclaim
// of a soft-deleted server (its delete is given with the time of its end only)
// and the offload of a server that was shelved for a while. A soft delete is
// none: it destroys nothing.
//
// Shelving a server offloads it at once or later, as the site chose
// (shelved_offload_time), and the action does not tell which (measured with
// Nova 26): so every shelve is given as an offload. Actions that failed are
// given too; they may have destroyed the disk before.
func (a *API) Acts(ctx context.Context, kind quarantine.ResourceKind, id string) ([]quarantine.Deletion, error) {
	if kind != quarantine.ResourceVM || uuid(text(id)) != id || id == "" {
		return nil, nil
	}
	s, err := a.session(ctx)
	if err != nil {
		return nil, err
	}
	ds, err := s.acts(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("the acts on server %s: %w", id, err)
	}
	return ds, nil
}

func (s *session) acts(ctx context.Context, id string) ([]quarantine.Deletion, error) {
	v, err := s.server(ctx, id)
	there := err == nil
	if errors.Is(err, quarantine.ErrNotFound) {
		v, err = s.deletedServer(ctx, id)
	}
	if errors.Is(err, quarantine.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	actions, err := s.actions(ctx, id)
	if err != nil && !errors.Is(err, quarantine.ErrNotFound) {
		return nil, err
	}
	base, err := v.deletion(ctx, s, nil)
	if err != nil {
		return nil, err
	}
	var ds []quarantine.Deletion
	for i, done := range actions {
		d := base
		switch done.Action {
		case "rebuild":
			d.Kind, d.Image = quarantine.KindRebuild, quarantine.Principal{} // it has the new one
		case "resize", "migrate", "confirmResize", "revertResize":
			d.Kind, d.Flavor = quarantine.KindResize, ""
		case "unrescue":
			d.Kind = quarantine.KindUnrescue
		case "shelve", "shelveOffload":
			d.Kind = quarantine.KindShelveOffload
		case "delete":
			if !there || v.softDeleted() || i != len(actions)-1 {
				continue // the death of one that is gone is below
			}
		default:
			continue
		}
		if d.Kind != quarantine.KindDelete {
			d.ID = quarantine.DeletionID(d.Cloud, d.Kind, id, string(done.Request))
			d.Disks = serverDisks(d.Kind, id, false)
			d.EndedAt = utc(done.Updated)
		}
		d.RequestID, d.StartedAt = string(done.Request), utc(done.Start)
		if d.Deleter, err = s.userName(ctx, done.User); err != nil {
			return nil, err
		}
		ds = append(ds, d.Normalize())
	}
	if !there && !v.softDeleted() {
		d, err := v.death(ctx, s)
		if err != nil {
			return nil, err
		}
		ds = append(ds, d.Normalize())
	}
	return ds, nil
}
