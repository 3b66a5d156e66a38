package openstacklab

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// VolumeSpec is a volume to make. The zero value is an empty one of 1 GiB.
type VolumeSpec struct {
	Name string
	// Size is in GiB.
	Size int
	// Image, Snapshot, Source are the id of what it is made from, if anything.
	Image, Snapshot, Source string
	// Extra are more of the API's fields.
	Extra map[string]any
}

// Volume is what the API says of a volume.
type Volume struct {
	ID, Name, Status string
	Size             int
	Host             string `json:"os-vol-host-attr:host"`        // for administrators
	ProjectID        string `json:"os-vol-tenant-attr:tenant_id"` // for administrators
}

// CreateVolume makes a volume and returns it when it is available.
func (s *Session) CreateVolume(ctx context.Context, spec VolumeSpec) (Volume, error) {
	body := object{"name": orElse(spec.Name, "volume"), "size": max(1, spec.Size)}
	for field, id := range map[string]string{"imageRef": spec.Image, "snapshot_id": spec.Snapshot, "source_volid": spec.Source} {
		if id != "" {
			body[field] = id
		}
	}
	for k, v := range spec.Extra {
		body[k] = v
	}
	var made struct{ Volume Volume }
	if err := s.Do(ctx, http.MethodPost, "volume", "/volumes", object{"volume": body}, &made); err != nil {
		return Volume{}, fmt.Errorf("create volume %s: %w", spec.Name, err)
	}
	return s.WaitVolume(ctx, made.Volume.ID, "available")
}

// Volume returns a volume. NotFound(err) if there is none.
func (s *Session) Volume(ctx context.Context, id string) (Volume, error) {
	var answer struct{ Volume Volume }
	err := s.Do(ctx, http.MethodGet, "volume", "/volumes/"+id, nil, &answer)
	return answer.Volume, err
}

// WaitVolume returns a volume when it has the status.
func (s *Session) WaitVolume(ctx context.Context, id, status string) (v Volume, err error) {
	err = poll(ctx, func() (bool, error) {
		v, err = s.Volume(ctx, id)
		if err == nil && strings.HasPrefix(v.Status, "error") && v.Status != status {
			err = fmt.Errorf("volume %s: %w: %s", id, errState, v.Status)
		}
		return v.Status == status, err
	}, func() string { return "volume " + id + " is " + v.Status })
	return v, err
}

// WaitVolumeGone returns when the volume is not there any more.
func (s *Session) WaitVolumeGone(ctx context.Context, id string) error {
	return s.waitGone(ctx, "/volumes/"+id)
}

// DeleteVolume deletes a volume; see WaitVolumeGone.
func (s *Session) DeleteVolume(ctx context.Context, id string) error {
	return s.Do(ctx, http.MethodDelete, "volume", "/volumes/"+id, nil, nil)
}

// ForceDeleteVolume deletes a volume whatever its status: for administrators.
func (s *Session) ForceDeleteVolume(ctx context.Context, id string) error {
	return s.VolumeAction(ctx, id, object{"os-force_delete": nil})
}

// VolumeAction does what is asked of a volume, as in {"os-extend": …}.
func (s *Session) VolumeAction(ctx context.Context, id string, action map[string]any) error {
	return s.Do(ctx, http.MethodPost, "volume", "/volumes/"+id+"/action", action, nil)
}

// Snapshot makes a snapshot of a volume, which may be in use, and returns its
// id when it is available.
func (s *Session) Snapshot(ctx context.Context, volume, name string) (string, error) {
	var answer struct {
		Snapshot struct{ ID, Status string }
	}
	body := object{"snapshot": object{"volume_id": volume, "name": name}}
	if err := s.Do(ctx, http.MethodPost, "volume", "/snapshots", body, &answer); err != nil {
		return "", fmt.Errorf("snapshot volume %s: %w", volume, err)
	}
	id := answer.Snapshot.ID
	err := poll(ctx, func() (bool, error) {
		err := s.Do(ctx, http.MethodGet, "volume", "/snapshots/"+id, nil, &answer)
		if err == nil && answer.Snapshot.Status == "error" {
			err = fmt.Errorf("snapshot %s: %w", id, errState)
		}
		return answer.Snapshot.Status == "available", err
	}, func() string { return "snapshot " + id + " is " + answer.Snapshot.Status })
	return id, err
}

// DeleteSnapshot deletes a snapshot and returns when it is gone.
func (s *Session) DeleteSnapshot(ctx context.Context, id string) error {
	if err := s.Do(ctx, http.MethodDelete, "volume", "/snapshots/"+id, nil, nil); err != nil {
		return fmt.Errorf("delete snapshot %s: %w", id, err)
	}
	return s.waitGone(ctx, "/snapshots/"+id)
}

func (s *Session) waitGone(ctx context.Context, path string) error {
	return poll(ctx, func() (bool, error) {
		err := s.Do(ctx, http.MethodGet, "volume", path, nil, nil)
		if NotFound(err) {
			return true, nil
		}
		return false, err
	}, func() string { return path + " is still there" })
}
