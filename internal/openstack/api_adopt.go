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
// back. So nearly all that can fail is asked before. Whatever seems to have
// failed then is looked at again, for up to undoGrace, before anything is taken
// back: a volume that is available is a success, also when Cinder did not
// answer for a while, or ctx has ended. What is no success is deleted, and with
// o.Evidence taken out of Cinder instead, which leaves the image as it is.
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
	in, offer, err := s.actingFor(ctx, project)
	if err != nil {
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
		err = fmt.Errorf("offer volume %s to project %s: %w", id, project.Label(), err)
		return m, in.drop(ctx, o, id, err)
	}
	return m, nil
}

// actingFor returns the session in which a volume for the project is made:
// one in the project, or where the credential may not act there, s itself, and
// then the volume is to be offered.
func (s *session) actingFor(ctx context.Context, project quarantine.Principal) (in *session, offer bool, err error) {
	in, err = s.within(ctx, project)
	if errors.Is(err, quarantine.ErrRefused) {
		return s, true, nil
	}
	return in, false, err
}

// manage makes the volume and waits until it can be used. On error it has been
// dropped, as far as that was possible.
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
	err := s.call(ctx, blockStorage, http.MethodPost, "manageable_volumes", nil, map[string]any{"volume": order}, &answer)
	id := answer.Volume.ident()
	if err == nil && id == "" {
		err = fmt.Errorf("cloud %s: %w: Cinder's answer has no id of the volume", s.api.cfg.Cloud, quarantine.ErrUnavailable)
	}
	switch {
	case err == nil:
		if err = s.volumeReady(ctx, id); err == nil {
			return id, nil
		}
		err = fmt.Errorf("volume %s: %w", id, err)
	case !errors.Is(err, quarantine.ErrUnavailable):
		return "", err // it was refused
	default:
		// The answer was lost, and Cinder may have begun.
		again, cancel := undoing(ctx)
		found, ferr := s.markedVolume(again, mark)
		cancel()
		if ferr != nil {
			return "", fmt.Errorf("%w; whether it was made nevertheless could not be found out (it has the metadata %s=%s): %s", err, markKey, mark, ferr)
		}
		if found == "" {
			return "", err
		}
		id = found
	}
	// Cinder goes on by itself. Once it has the volume it is a success.
	again, cancel := undoing(ctx)
	defer cancel()
	if s.volumeReady(again, id) == nil {
		return id, nil
	}
	return "", s.drop(ctx, o, id, err)
}

// drop takes a volume back that came to nothing because of err, and returns
// err, with what is left: it is deleted, or unmanaged if the image is the disk
// itself.
func (s *session) drop(ctx context.Context, o quarantine.VolumeOrder, id string, err error) error {
	undo, cancel := undoing(ctx)
	defer cancel()
	if !o.Evidence {
		if derr := s.deleteVolume(undo, id); derr != nil {
			return fmt.Errorf("%w; the volume is left in project %s, because it could not be deleted: %s", err, s.project.Label(), derr)
		}
		return err
	}
	switch uerr := s.unmanage(undo, id); {
	case errors.Is(uerr, quarantine.ErrNotFound):
		return err
	case uerr != nil:
		return fmt.Errorf("%w; the volume is left in project %s, because it could not be taken out of Cinder: %s", err, s.project.Label(), uerr)
	}
	return fmt.Errorf("%w; the image may now be called volume-%s", err, id)
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
