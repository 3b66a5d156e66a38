package opennebula

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"quarantine/internal/quarantine"
)

// Traits implements quarantine.CloudWriter.
func (a *API) Traits() quarantine.CloudTraits {
	return quarantine.CloudTraits{Whole: true, Owners: true, NoUpload: true, VolumePrefix: finalPrefix}
}

// AdoptVolume implements quarantine.CloudWriter. The volume is a persistent
// image, and o.Type its datastore.
//
// OpenNebula makes a record with the name of an RBD image in it, and neither
// looks whether there is one nor renames it. So the record is made with a name
// that no RBD image has yet, and then the RBD image gets that name: after a
// crash its name tells whether the cloud has it.
//
// The record of an image must not be deleted while an RBD image has the name in
// it: OpenNebula's driver would remove that. So what has failed is taken back in
// the opposite order, and where the RBD image cannot be renamed back, the
// record is left.
func (a *API) AdoptVolume(ctx context.Context, o quarantine.VolumeOrder) (quarantine.Made, error) {
	m, err := a.adoptVolume(ctx, o)
	if err != nil {
		return quarantine.Made{}, fmt.Errorf("cloud %s: make a persistent image of %s: %w", a.cfg.Cloud, o.Source, err)
	}
	return m, nil
}

func (a *API) adoptVolume(ctx context.Context, o quarantine.VolumeOrder) (quarantine.Made, error) {
	var none quarantine.Made
	final, unique, err := finalName(o.Source)
	if err != nil {
		return none, err
	}
	if a.cfg.Images == nil {
		return none, invalidf("the images cannot be renamed")
	}
	t, err := a.findTarget(ctx, o.Type)
	if err != nil {
		return none, err
	}
	to, err := a.findOwner(ctx, o.Project, o.Domain, o.Owner)
	if err != nil {
		return none, err
	}
	source := t.source(final)
	tmpl := imageTemplate{name: final, source: source, size: o.SizeBytes, bootable: o.Bootable, persistent: true, metadata: o.Metadata}
	text, err := tmpl.text()
	if err != nil {
		return none, err
	}
	// Two records with one SOURCE would be two owners of one RBD image.
	if others, err := a.made(ctx, source); err != nil {
		return none, fmt.Errorf("look whether the cloud has it: %w", err)
	} else if len(others) > 0 {
		return none, fmt.Errorf("image %s of the cloud is %s: %w", others[0].ID, source, quarantine.ErrExists)
	}
	r, err := a.allocate(ctx, t, source, text)
	if err != nil {
		return none, err
	}
	id := r.id
	switch err = a.renameImage(ctx, t.pool, o.Source, final); {
	case errors.Is(err, quarantine.ErrUnavailable):
		return none, fmt.Errorf("rename it to %s: %w; it may be called so now, so image %d is left in the cloud: deleting it could delete %s", final, err, id, source)
	case err != nil:
		err = fmt.Errorf("rename it to %s: %w", final, err)
		return none, a.withdraw(ctx, id, t, final, o.Source, err)
	}
	if err = a.imageWaits(ctx, id); err == nil {
		var m quarantine.Made
		if m, err = a.hand(ctx, id, to, o.Name, unique); err == nil {
			return m, nil
		}
	}
	return none, a.withdraw(ctx, id, t, final, o.Source, err)
}

// finalPrefix (CloudTraits.VolumePrefix) begins the name of an RBD image that was
// given to the cloud. What begins with "one-" is OpenNebula's own.
const finalPrefix = "restored-"

// finalName is the name of an RBD image once the cloud has it, and the part of it
// that is this restore's alone.
//
// OpenNebula's ceph driver gives the names to a shell without quotes, and finds
// what belongs to an image by `grep -E "<name>-…"`. So a name has no other sign
// than letters, digits and points, and it is no part of another image's name.
func finalName(source string) (final, unique string, err error) {
	unique, ok := strings.CutPrefix(source, quarantine.RestorePrefix)
	bad := func(r rune) bool {
		return r != '.' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}
	if !ok || unique == "" || strings.ContainsFunc(unique, bad) {
		return "", "", invalidf("the RBD image's name %q is none that a restore gives", cut(source, 200))
	}
	return finalPrefix + unique, unique, nil
}

// renameImage renames an RBD image, also when ctx has ended: half of it must not
// go on behind the caller's back. It tries again where it is not known whether
// it was done; after an error that wraps ErrUnavailable it may have been.
func (a *API) renameImage(ctx context.Context, pool quarantine.PoolRef, from, to string) error {
	ctx, cancel := undoing(ctx)
	defer cancel()
	for try := 0; ; try++ {
		err := a.cfg.Images.RenameImage(ctx, pool, from, to)
		switch {
		case err == nil:
			return nil
		case try > 0 && errors.Is(err, quarantine.ErrNotFound):
			return nil // the try before has done it
		case !errors.Is(err, quarantine.ErrUnavailable) || try == patience || !pause(ctx, a.cfg.Poll):
			return err
		}
	}
}

// withdraw takes an adoption back that came to nothing because of cause, and
// returns that, with what is left.
func (a *API) withdraw(ctx context.Context, id int, t target, final, source string, cause error) error {
	undo, cancel := undoing(ctx)
	defer cancel()
	err := a.renameImage(undo, t.pool, final, source)
	if err != nil && !errors.Is(err, quarantine.ErrNotFound) {
		return fmt.Errorf("%w; %s could not be renamed back, so image %d is left in the cloud: deleting it would delete %s: %s", cause, t.source(final), id, t.source(final), err)
	}
	if err := a.removeImage(undo, id, true); err != nil {
		return fmt.Errorf("%w; image %d is left in the cloud, with no RBD image (oneimage delete --force): %s", cause, id, err)
	}
	return cause
}

// AdoptImage implements quarantine.CloudWriter. The image is not persistent, in
// the configured datastore. The RBD image keeps its name, and OpenNebula's
// driver uses the snapshot that it has.
//
// What has failed is taken back by deleting the image, which deletes the RBD
// image too.
func (a *API) AdoptImage(ctx context.Context, o quarantine.ImageOrder) (quarantine.Made, error) {
	m, err := a.adoptImage(ctx, o)
	if err != nil {
		return quarantine.Made{}, fmt.Errorf("cloud %s: make an image of %s: %w", a.cfg.Cloud, o.Source, err)
	}
	return m, nil
}

func (a *API) adoptImage(ctx context.Context, o quarantine.ImageOrder) (quarantine.Made, error) {
	_, unique, err := finalName(o.Source)
	if err != nil {
		return quarantine.Made{}, err
	}
	t, to, text, err := a.prepareImage(ctx, o)
	if err != nil {
		return quarantine.Made{}, nothingMade{err}
	}
	source := t.source(o.Source)
	others, err := a.made(ctx, source)
	if err != nil {
		return quarantine.Made{}, fmt.Errorf("look whether the cloud has it: %w", err)
	}
	if len(others) > 0 {
		return quarantine.Made{}, fmt.Errorf("%w: image %s of the cloud is %s already", quarantine.ErrUnavailable, others[0].ID, source)
	}
	r, err := a.allocate(ctx, t, source, text)
	if errors.Is(err, quarantine.ErrUnavailable) && !lost(err) {
		err = nothingMade{err}
	}
	if err != nil {
		return quarantine.Made{}, err
	}
	id := r.id
	if err = a.imageWaits(ctx, id); err == nil {
		var m quarantine.Made
		if m, err = a.hand(ctx, id, to, o.Name, unique); err == nil {
			return m, nil
		}
	}
	undo, cancel := undoing(ctx)
	defer cancel()
	if derr := a.removeImage(undo, id, true); derr != nil {
		return quarantine.Made{}, fmt.Errorf("%w: %w; image %d is left in the cloud, because it could not be deleted: %s", quarantine.ErrUnavailable, err, id, derr)
	}
	return quarantine.Made{}, nothingMade{err}
}

// prepareImage is what can be done before the cloud has anything.
func (a *API) prepareImage(ctx context.Context, o quarantine.ImageOrder) (t target, to owner, text string, err error) {
	if t, err = a.findTarget(ctx, ""); err != nil {
		return t, to, "", err
	}
	if t.pool.FSID != "" && o.FSID != t.pool.FSID {
		return t, to, "", invalidf("it is in cluster %q, and the images in %q", cut(o.FSID, 80), t.pool.FSID)
	}
	if to, err = a.findOwner(ctx, o.Project, o.Domain, o.Owner); err != nil {
		return t, to, "", err
	}
	tmpl := imageTemplate{name: o.Source, source: t.source(o.Source), size: o.SizeBytes, bootable: true, metadata: o.Properties}
	text, err = tmpl.text()
	return t, to, text, err
}

// imageTemplate is what an image's record is made of.
type imageTemplate struct {
	name       string
	source     string
	size       int64 // bytes
	bootable   bool
	persistent bool
	metadata   map[string]string
}

// text is the template. ErrInvalid if the order cannot be right.
func (i imageTemplate) text() (string, error) {
	if i.size <= 0 {
		return "", invalidf("size %d", i.size)
	}
	var t template
	t.add("NAME", i.name)
	t.add("TYPE", map[bool]string{true: "OS", false: "DATABLOCK"}[i.bootable])
	t.add("PERSISTENT", map[bool]string{true: "YES", false: "NO"}[i.persistent])
	t.add("SOURCE", i.source)
	t.add("FORMAT", "raw")
	const mib = 1 << 20
	t.add("SIZE", strconv.FormatInt((i.size-1)/mib+1, 10)) // rounded up
	if err := t.addAll(i.metadata); err != nil {
		return "", err
	}
	return t.String(), nil
}

// UploadImage implements quarantine.CloudWriter. OpenNebula makes an image of a
// file of the front-end, or of an RBD image that is there; it takes no bytes.
func (a *API) UploadImage(context.Context, quarantine.ImageOrder, func(w quarantine.Writer) error) (quarantine.Made, error) {
	return quarantine.Made{}, fmt.Errorf("cloud %s: upload an image: %w: OpenNebula takes no bytes; restore it by its location", a.cfg.Cloud, quarantine.ErrRefused)
}
