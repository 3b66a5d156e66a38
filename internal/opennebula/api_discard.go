package opennebula

import (
	"context"
	"errors"
	"fmt"

	"quarantine/internal/quarantine"
)

// Discard implements quarantine.CloudWriter. It returns when the resource is
// gone, and nil if it was gone before. A VM leaves its persistent images behind.
// It refuses a resource whose name is another than the one it was made with, and
// an image that a VM uses is ErrBusy.
func (a *API) Discard(ctx context.Context, m quarantine.Made) error {
	ctx, cancel := a.waiting(ctx)
	defer cancel()
	err := a.discard(ctx, m)
	if err != nil && !errors.Is(err, quarantine.ErrNotFound) {
		return fmt.Errorf("cloud %s: discard %s %s: %w", a.cfg.Cloud, m.Kind, cut(m.ID, 40), err)
	}
	return nil
}

func (a *API) discard(ctx context.Context, m quarantine.Made) error {
	id, err := number(m.ID)
	if err != nil {
		return checkNumber("the id", m.ID)
	}
	switch m.Kind {
	case quarantine.ResourceVM:
		v, err := a.lookVM(ctx, id)
		if err == nil {
			err = sameName(m, v.Name)
		}
		switch {
		case v.State == stateDone && err != nil:
			return nil // it, whatever it is, is gone
		case err != nil:
			return err
		}
		return a.removeVM(ctx, id)
	case quarantine.ResourceImage:
		r, err := a.lookImage(ctx, id)
		if err == nil {
			err = sameName(m, r.Name)
		}
		if err != nil {
			return err
		}
		return a.removeImage(ctx, id, false)
	}
	return invalidf("kind %q", m.Kind)
}

// sameName guards against deleting something else by a mixed-up id.
func sameName(m quarantine.Made, name string) error {
	if m.Name != "" && m.Name != name {
		return fmt.Errorf("%w: it is called otherwise than what was made", quarantine.ErrRefused)
	}
	return nil
}
