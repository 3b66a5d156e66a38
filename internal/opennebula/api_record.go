package opennebula

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"quarantine/internal/quarantine"
)

// States of an image (STATE), as in OpenNebula's Image; 7 is imageDelete.
const (
	imageReady          = "1"
	imageUsed           = "2"
	imageDisabled       = "3"
	imageError          = "5"
	imageClone          = "6"
	imageUsedPers       = "8"
	imageLockedUsed     = "9"
	imageLockedUsedPers = "10"
)

// imageRecord is what OpenNebula knows of an image. Where its RBD image is it
// takes from who made the record, and never asks Ceph.
type imageRecord struct {
	ownerXML
	State      string `xml:"STATE"`
	Persistent string `xml:"PERSISTENT"`
	Source     string `xml:"SOURCE"`
	Locked     string `xml:"LOCK>LOCKED"`
	Error      string `xml:"TEMPLATE>ERROR"`
	id         int    // ID
}

// used reports whether a VM or a clone of it has the image.
func (r imageRecord) used() bool {
	switch r.State {
	case imageUsed, imageUsedPers, imageClone, imageLockedUsed, imageLockedUsedPers:
		return true
	}
	return false
}

// lookImage returns an image's record. ErrNotFound if there is none.
func (a *API) lookImage(ctx context.Context, id int) (imageRecord, error) {
	var r imageRecord
	err := a.get(ctx, &r, "IMAGE", "one.image.info", id, false)
	if r.id = id; err == nil && r.ID != strconv.Itoa(id) {
		err = fmt.Errorf("image %d: %w: the answer is of another", id, quarantine.ErrUnavailable)
	}
	return r, err
}

// made returns the records with that SOURCE.
func (a *API) made(ctx context.Context, source string) ([]imageRecord, error) {
	var found []imageRecord
	err := a.insist(ctx, func(ctx context.Context) error {
		found = nil
		return list(ctx, a, listing{method: "one.imagepool.info", path: pathImages}, func(r *imageRecord) (err error) {
			if r.Source != source {
				return nil
			}
			r.id, err = r.number()
			found = append(found, *r)
			return err
		})
	})
	return found, err
}

// lookAgain is how often something is looked for whose making was not answered.
const lookAgain = 3

// allocate makes a record of an image whose SOURCE no other has. After an error
// there is none; where that wraps ErrUnavailable it is not certain.
func (a *API) allocate(ctx context.Context, t target, source, tmpl string) (imageRecord, error) {
	id, err := a.number(ctx, "one.image.allocate", tmpl, t.datastore)
	if err != nil && !lost(err) {
		return imageRecord{}, err
	}
	if err == nil {
		// What comes next changes the image of that id.
		var r imageRecord
		err = a.insist(ctx, func(ctx context.Context) (err error) {
			r, err = a.lookImage(ctx, id)
			return err
		})
		switch {
		case err == nil && r.Source == source:
			return r, nil
		case err == nil:
			err = fmt.Errorf("image %d is not what was made", id)
		}
	}
	again, cancel := undoing(ctx)
	defer cancel()
	for try := 1; ; try++ {
		found, lerr := a.made(again, source)
		switch {
		case lerr != nil:
			return imageRecord{}, fmt.Errorf("%w: %s; whether it was made nevertheless could not be found out (its SOURCE would be %s): %s", quarantine.ErrUnavailable, err, source, lerr)
		case len(found) > 0:
			return found[0], nil
		case try == lookAgain || !pause(again, a.cfg.Poll):
			return imageRecord{}, fmt.Errorf("%w: %s; no image has the SOURCE %s up to now", quarantine.ErrUnavailable, err, source)
		}
	}
}

// imageWaits waits until the image can be used.
func (a *API) imageWaits(ctx context.Context, id int) error {
	return a.wait(ctx, func(ctx context.Context) (bool, error) {
		r, err := a.lookImage(ctx, id)
		if err != nil {
			return false, err
		}
		switch r.State {
		case imageReady:
			return true, nil
		case imageError, imageDisabled, imageDelete:
			return false, fmt.Errorf("image %d: %w: OpenNebula does not make it ready: state %s: %s", id, quarantine.ErrInvalid, r.State, printable(r.Error))
		}
		return false, nil
	})
}

// hand gives the image to the owner, and the best name that is free there. It
// returns what was made.
func (a *API) hand(ctx context.Context, id int, to owner, name, unique string) (quarantine.Made, error) {
	m := quarantine.Made{Kind: quarantine.ResourceImage, ID: strconv.Itoa(id)}
	if to.given() {
		err := a.insist(ctx, func(ctx context.Context) error {
			_, err := a.call(ctx, "one.image.chown", id, to.uid, to.gid)
			return err
		})
		if err != nil {
			return m, fmt.Errorf("give image %d to its owner: %w", id, err)
		}
	}
	// The name that it has is no reason to fail.
	for _, try := range candidates(name, unique) {
		err := a.insist(ctx, func(ctx context.Context) error {
			_, err := a.call(ctx, "one.image.rename", id, try)
			return err
		})
		if err == nil {
			break
		}
		var taken *refusal
		if !errors.As(err, &taken) || errors.Is(err, quarantine.ErrNotFound) {
			return m, fmt.Errorf("name image %d: %w", id, err)
		}
	}
	var r imageRecord
	err := a.insist(ctx, func(ctx context.Context) (err error) {
		r, err = a.lookImage(ctx, id)
		return err
	})
	if err == nil && !to.has(r.ownerXML) {
		err = fmt.Errorf("image %d: %w: it has not got its owner", id, quarantine.ErrUnavailable)
	}
	m.Name, m.Project = r.Name, quarantine.Principal{ID: r.GID, Name: cut(r.GName, maxName)}
	return m, err
}

// removeImage deletes the image and waits until its record is gone; nil if it is
// gone already. OpenNebula's driver removes the RBD image of the name in SOURCE.
// If it cannot, because there is none, the image comes into the state ERROR and
// stays; with force the record goes all the same (FORCE_DELETE in
// ImageManager::_rm of oned; the driver is run with force, too). ErrBusy if
// somebody uses the image or has locked it.
func (a *API) removeImage(ctx context.Context, id int, force bool) error {
	asked := false
	return a.poll(ctx, func(ctx context.Context) (bool, error) {
		r, err := a.lookImage(ctx, id)
		switch {
		case errors.Is(err, quarantine.ErrNotFound):
			return true, nil
		case err != nil:
			return false, err
		case r.State == imageDelete:
			asked = true
			return false, nil
		case r.Locked != "" && r.Locked != "0":
			return false, fmt.Errorf("image %d: %w: somebody has locked it", id, quarantine.ErrBusy)
		case r.State == imageError && asked:
			return false, fmt.Errorf("image %d: %w: OpenNebula could not delete it: %s", id, quarantine.ErrBusy, printable(r.Error))
		}
		_, err = a.call(ctx, "one.image.delete", id, force)
		if errors.Is(err, quarantine.ErrNotFound) {
			return true, nil
		}
		asked = asked || err == nil || lost(err)
		return false, err
	})
}
