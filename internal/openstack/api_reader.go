package openstack

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"quarantine/internal/quarantine"
)

// Living implements quarantine.CloudReader. Volumes come first, then servers,
// then images. In memory is one page, the names, and for the length of the
// listing the device of each attached volume (about 200 bytes each).
//
// It fails if one of Nova's cells does not answer, before it tells of a server
// in it. A soft-deleted server still lives.
func (a *API) Living(ctx context.Context, each func(quarantine.Deletion) error) error {
	s, err := a.session(ctx)
	if err != nil {
		return err
	}
	if err := s.checkCells(ctx); err != nil {
		return err
	}
	devices, err := s.livingVolumes(ctx, each)
	if err != nil {
		return err
	}
	if err := s.livingServers(ctx, devices, each); err != nil {
		return err
	}
	if err := s.livingImages(ctx, each); err != nil {
		return err
	}
	return s.checkCells(ctx)
}

// Dead implements quarantine.CloudReader, for servers: Cinder and Glance
// forget what was deleted. A soft-deleted server is a Deletion of
// KindSoftDelete, and one of KindDelete later, when it is reclaimed. What is
// known of a deleted server says apiServer.
//
// Who deleted it is that of the last request to do so, a soft delete where
// that was reclaimed; nobody if Nova keeps no such action: of a server that
// was never scheduled it does not.
func (a *API) Dead(ctx context.Context, since time.Time, each func(quarantine.Deletion) error) error {
	return a.dead(ctx, since, func(s *session, v apiServer) error {
		d, err := v.death(ctx, s)
		if err != nil || d.ID == "" {
			return err
		}
		return each(d.Normalize())
	})
}

// CountDead returns how many servers were deleted, or soft-deleted, at the
// time or later. It is for telling that the cloud deletes servers although no
// notifications come.
func (a *API) CountDead(ctx context.Context, since time.Time) (int, error) {
	n := 0
	err := a.dead(ctx, since, func(*session, apiServer) error { n++; return nil })
	return n, err
}

func (a *API) dead(ctx context.Context, since time.Time, each func(*session, apiServer) error) error {
	s, err := a.session(ctx)
	if err != nil {
		return err
	}
	if err := s.checkCells(ctx); err != nil {
		return err
	}
	// Nova lists by the time of the last change of the record, in whole
	// seconds, and that may be long after the deletion.
	since = since.UTC().Truncate(time.Second)
	query := url.Values{"all_tenants": {"1"}, "deleted": {"true"}, "changes-since": {since.Format(time.RFC3339)}}
	err = s.listServers(ctx, query, func(v apiServer) error {
		if v.diedAt().Before(since) {
			return nil
		}
		return each(s, v)
	})
	if err != nil {
		return err
	}
	return s.checkCells(ctx)
}

// diedAt is when the server was deleted, or soft-deleted.
func (v apiServer) diedAt() time.Time {
	if at := utc(v.Ended); !at.IsZero() {
		return at
	}
	return utc(v.Updated)
}

// reclaimSlack is how long after the end of a delete request the server may be
// deleted for the request to be the cause; else it was reclaimed later, or by
// hand.
const reclaimSlack = time.Minute

// death is the Deletion of a server that Nova lists as deleted. Its id is
// empty if the server was soft-deleted by nobody knows which request: the
// request is a part of that Deletion's id.
func (v apiServer) death(ctx context.Context, s *session) (quarantine.Deletion, error) {
	d, err := v.deletion(ctx, s, nil)
	if err != nil {
		return d, err
	}
	actions, err := s.actions(ctx, d.ResourceID)
	if err != nil && !errors.Is(err, quarantine.ErrNotFound) {
		return d, err
	}
	d.EndedAt = v.diedAt()
	last := action{}
	for _, done := range actions {
		if deletes(done) && !utc(done.Start).After(d.EndedAt) {
			last = done
		}
	}
	if d.Deleter, err = s.userName(ctx, last.User); err != nil {
		return d, err
	}
	soft := v.softDeleted()
	if soft {
		d.Kind = quarantine.KindSoftDelete
		d.ID = ""
		if last.Request != "" {
			d.ID = quarantine.DeletionID(d.Cloud, d.Kind, d.ResourceID, string(last.Request))
		}
	}
	ended := utc(last.Updated)
	if soft || ended.IsZero() || !ended.Add(reclaimSlack).Before(d.EndedAt) {
		d.RequestID, d.StartedAt = string(last.Request), utc(last.Start)
	}
	return d, nil
}

// deletes reports whether the action is a delete. Nova 26 calls a soft delete
// and a forced delete "delete" too.
func deletes(a action) bool {
	switch strings.ToLower(string(a.Action)) {
	case "delete", "softdelete", "soft-delete", "forcedelete", "force-delete":
		return true
	}
	return false
}

// Suspect implements quarantine.CloudReader. It knows the disks of Nova
// (<uuid>_disk, and that with .config, .eph0, .swap, .rescue …), the volumes
// of Cinder (volume-<uuid>, .deleted) and the images of Glance (<uuid>). A
// backup of Cinder (volume-<uuid>.backup.…) is not the volume.
func (a *API) Suspect(name string) (quarantine.Deletion, bool) {
	var d quarantine.Deletion
	var role string
	id, rest := name, ""
	if volume, ok := strings.CutPrefix(name, "volume-"); ok {
		if len(volume) < uuidLength {
			return d, false
		}
		if id, rest = volume[:uuidLength], volume[uuidLength:]; rest != "" && rest != ".deleted" {
			return d, false
		}
		d, role = volumeDeath(a.cfg.Cloud, id), roleVolume
	} else if len(name) > uuidLength {
		id, rest = name[:uuidLength], name[uuidLength:]
		if role, ok = diskRole(rest); !ok {
			return d, false
		}
		d = serverDeath(a.cfg.Cloud, id)
	} else {
		d, role = imageDeath(a.cfg.Cloud, id), roleImage
	}
	if uuid(text(id)) != id || id == "" { // names are in lower case
		return quarantine.Deletion{}, false
	}
	d.Disks = []quarantine.DiskRef{{Name: name, Role: role}}
	return d.Normalize(), true
}

const uuidLength = 36

// diskRole tells the role of a server's disk by what follows the uuid.
func diskRole(rest string) (string, bool) {
	suffix, ok := strings.CutPrefix(rest, "_disk")
	if !ok {
		return "", false
	}
	switch {
	case suffix == "":
		return roleRoot, true
	case suffix == ".config":
		return roleConfig, true
	case suffix == ".swap":
		return roleSwap, true
	case strings.HasSuffix(suffix, ".rescue"):
		return roleRescue, true
	case strings.HasPrefix(suffix, ".eph"):
		return roleEphemeral, true
	}
	return "", suffix[0] == '.' || suffix[0] == '_'
}

func (a *API) about(d quarantine.Deletion, err error) error {
	return fmt.Errorf("complete the deletion of %s %s: %w", d.ResourceKind, d.ResourceID, err)
}
