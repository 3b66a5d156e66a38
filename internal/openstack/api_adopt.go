package openstack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"quarantine/internal/quarantine"
)

// AdoptVolume implements quarantine.CloudWriter.
//
// The volume is made in the wanted project if the credential may act there.
// Where it may not, it is made in the credential's own project and offered for
// transfer: Cinder has no way to give a volume away.
//
// Cinder renames the image to volume-<id>, and nothing of Cinder's renames it
// back. So nearly all that can fail is asked before; if nevertheless the offer
// of the transfer fails, the volume is taken out of Cinder, and the error
// tells the name under which the image is left.
//
// If ctx ends meanwhile, it waits a little longer for the outcome.
func (a *API) AdoptVolume(ctx context.Context, o quarantine.VolumeOrder) (quarantine.Made, error) {
	m, err := a.adoptVolume(ctx, o)
	if err != nil {
		return quarantine.Made{}, fmt.Errorf("make a volume of image %s: %w", o.Source, err)
	}
	return m, nil
}

func (a *API) adoptVolume(ctx context.Context, o quarantine.VolumeOrder) (quarantine.Made, error) {
	var m quarantine.Made
	if o.Source == "" {
		return m, fmt.Errorf("%w: no image", quarantine.ErrInvalid)
	}
	s, err := a.session(ctx)
	if err != nil {
		return m, err
	}
	project, err := s.findProject(ctx, o.Project, o.Domain)
	if err != nil {
		return m, err
	}
	t, err := s.findTarget(ctx, o.Type)
	if err != nil {
		return m, err
	}
	in, err := s.within(ctx, project)
	offer := errors.Is(err, quarantine.ErrRefused)
	if offer {
		in = s
	} else if err != nil {
		return m, err
	}
	id, err := in.manage(ctx, o, t)
	if err != nil && !offer && in != s && errors.Is(err, quarantine.ErrRefused) {
		// A member of the project may act in it, but not manage volumes.
		offer, in = true, s
		id, err = in.manage(ctx, o, t)
	}
	if err != nil {
		return m, err
	}
	m = quarantine.Made{Kind: quarantine.ResourceVolume, ID: id, Name: o.Name, Project: in.project}
	if !offer {
		return m, nil
	}
	if m.Transfer, err = in.offer(ctx, m); err != nil {
		undo, cancel := undoing(ctx)
		defer cancel()
		if uerr := in.unmanage(undo, id); uerr != nil {
			return m, fmt.Errorf("offer volume %s to project %s: %w; it is left in project %s, because it could not be taken out of Cinder: %s", id, project.Label(), err, in.project.Label(), uerr)
		}
		return m, fmt.Errorf("offer the volume to project %s: %w; the image is now called volume-%s", project.Label(), err, id)
	}
	return m, nil
}

// manage makes the volume and waits until it can be used. On error there is
// none.
func (s *session) manage(ctx context.Context, o quarantine.VolumeOrder, t target) (string, error) {
	var answer struct{ Volume apiVolume }
	mark := rand.Text()
	order := map[string]any{
		"host": t.host, "ref": map[string]string{"source-name": o.Source},
		"name": o.Name, "bootable": o.Bootable, "metadata": marked(o.Metadata, mark),
	}
	if t.typeName != "" {
		order["volume_type"] = t.typeName
	}
	if err := s.call(ctx, blockStorage, http.MethodPost, "manageable_volumes", nil, map[string]any{"volume": order}, &answer); err != nil {
		return "", s.unmake(ctx, err, mark, s.markedVolume, s.deleteVolume)
	}
	id := answer.Volume.ident()
	if id == "" {
		err := fmt.Errorf("cloud %s: %w: Cinder's answer has no id of the volume", s.api.cfg.Cloud, quarantine.ErrUnavailable)
		return "", s.unmake(ctx, err, mark, s.markedVolume, s.deleteVolume)
	}
	err := s.volumeReady(ctx, id)
	if err == nil {
		return id, nil
	}
	undo, cancel := undoing(ctx)
	defer cancel()
	if ctx.Err() != nil {
		// Cinder goes on by itself. Once it has the volume it is a success.
		if err = s.volumeReady(undo, id); err == nil {
			return id, nil
		}
	}
	// One that Cinder failed to manage is deleted without a look at the image.
	if uerr := s.deleteVolume(undo, id); uerr != nil {
		return "", fmt.Errorf("volume %s: %w; it could not be deleted: %s", id, err, uerr)
	}
	return "", fmt.Errorf("volume %s: %w", id, err)
}

// volumeReady waits until the volume is available.
func (s *session) volumeReady(ctx context.Context, id string) error {
	return s.api.wait(ctx, func(ctx context.Context) (bool, error) {
		v, err := s.volume(ctx, id)
		if err != nil {
			return false, err
		}
		switch v.Status {
		case "available":
			return true, nil
		case "error_managing", "error":
			return false, fmt.Errorf("%w: Cinder cannot manage the image: status %s (is it in the pool, under that name, and not in use?)", quarantine.ErrInvalid, v.Status)
		}
		return false, nil
	})
}

// offer makes a transfer request.
func (s *session) offer(ctx context.Context, m quarantine.Made) (*quarantine.Transfer, error) {
	c, err := s.service(ctx, blockStorage)
	if err != nil {
		return nil, err
	}
	path := "volume-transfers"
	if !has(c, "3.55") {
		path = "os-volume-transfer"
	}
	var answer struct {
		Transfer struct {
			ID  text `json:"id"`
			Key text `json:"auth_key"`
		} `json:"transfer"`
	}
	body := map[string]any{"transfer": map[string]any{"volume_id": m.ID, "name": m.Name}}
	if err := s.call(ctx, blockStorage, http.MethodPost, path, nil, body, &answer); err != nil {
		return nil, err
	}
	if answer.Transfer.ID == "" || answer.Transfer.Key == "" {
		return nil, fmt.Errorf("cloud %s: %w: Cinder's answer has no transfer", s.api.cfg.Cloud, quarantine.ErrUnavailable)
	}
	return &quarantine.Transfer{ID: string(answer.Transfer.ID), AuthKey: string(answer.Transfer.Key)}, nil
}

// unmanage takes a volume out of Cinder; the image stays.
func (s *session) unmanage(ctx context.Context, id string) error {
	if err := s.call(ctx, blockStorage, http.MethodPost, "volumes/"+id+"/action", nil, map[string]any{"os-unmanage": struct{}{}}, nil); err != nil {
		return err
	}
	return s.volumeGone(ctx, id)
}

func (s *session) deleteVolume(ctx context.Context, id string) error {
	err := s.call(ctx, blockStorage, http.MethodDelete, "volumes/"+id, nil, nil, nil)
	if err != nil && !errors.Is(err, quarantine.ErrNotFound) {
		return err
	}
	return s.volumeGone(ctx, id)
}

func (s *session) volumeGone(ctx context.Context, id string) error {
	return s.api.gone(ctx, func(ctx context.Context) (string, error) {
		v, err := s.volume(ctx, id)
		return string(v.Status), err
	})
}

// markedVolume returns the id of the volume with the mark, if there is one.
func (s *session) markedVolume(ctx context.Context, mark string) (string, error) {
	found := ""
	err := list(ctx, s, blockStorage, "volumes/detail", "volumes", url.Values{}, func(v apiVolume) error {
		if v.Metadata[markKey] == mark {
			found = v.ident()
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}
