package openstack

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"quarantine/internal/quarantine"
)

// Discard implements quarantine.CloudWriter. It returns when the resource is
// gone, and nil if it was gone before. A server leaves its volumes behind; the
// offer of a transfer is withdrawn. It refuses a resource whose name is another
// than the one it was made with.
func (a *API) Discard(ctx context.Context, m quarantine.Made) error {
	err := a.discard(ctx, m)
	if err != nil && !errors.Is(err, quarantine.ErrNotFound) {
		return fmt.Errorf("discard %s %s: %w", m.Kind, m.ID, err)
	}
	return nil
}

func (a *API) discard(ctx context.Context, m quarantine.Made) error {
	if uuid(text(m.ID)) != m.ID || m.ID == "" {
		return fmt.Errorf("%w: that is no id", quarantine.ErrInvalid)
	}
	s, err := a.session(ctx)
	if err != nil {
		return err
	}
	switch m.Kind {
	case quarantine.ResourceVM:
		v, err := s.server(ctx, m.ID)
		if err == nil {
			err = sameName(m, v.Name)
		}
		if err != nil {
			return err
		}
		return s.deleteServer(ctx, m.ID)
	case quarantine.ResourceVolume:
		v, err := s.volume(ctx, m.ID)
		if err == nil {
			err = sameName(m, v.Name)
		}
		if err != nil {
			return err
		}
		if v.Status == "awaiting-transfer" && m.Transfer != nil {
			err := s.call(ctx, blockStorage, http.MethodDelete, "os-volume-transfer/"+m.Transfer.ID, nil, nil, nil)
			if err != nil && !errors.Is(err, quarantine.ErrNotFound) {
				return err
			}
		}
		return s.deleteVolume(ctx, m.ID)
	case quarantine.ResourceImage:
		v, err := s.image(ctx, m.ID)
		if err == nil {
			err = sameName(m, v.Name)
		}
		if err != nil {
			return err
		}
		return s.deleteImage(ctx, m.ID)
	}
	return fmt.Errorf("%w: kind %q", quarantine.ErrInvalid, m.Kind)
}

// sameName guards against deleting something else by a mixed-up id.
func sameName(m quarantine.Made, name text) error {
	if m.Name != "" && m.Name != string(name) {
		return fmt.Errorf("%w: it is called otherwise than what was made", quarantine.ErrRefused)
	}
	return nil
}
