package ceph

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

// librbd creates and renames in several steps, and finishes nothing that a client
// died in, or that timed out:
//
//	create: the directory gets name and id → rbd_id.NAME → rbd_header.ID
//	rename: rbd_id.TO → the directory's name becomes TO → rbd_id.FROM goes
//
// (CreateRequest and RenameRequest in librbd.) There is no image before its header.
// A name that was taken so is taken for good. Worse, librbd opens by a name what
// rbd_id.NAME says, whatever the directory has, and `rbd rm` of a name that the
// directory does not have removes that image past the guard. So a rename
// ends with looking for a second name, and so does one that is asked for again.

const (
	// idObjectPrefix begins the name of the object that holds a live image's id
	// (RBD_ID_PREFIX in Ceph's source).
	idObjectPrefix = "rbd_id."
	// directoryIDPrefix begins the directory's keys of ids, whose values are names.
	directoryIDPrefix = "id_"
)

// place is what a pool says of a name.
type place struct {
	listed string // the id that the directory has for it; "": none
	opened string // the id that librbd opens by it; "": none
}

func placeOf(io *rados.IOContext, name string) (p place, err error) {
	if p.listed, err = directoryValue(io, directoryNamePrefix+name); err != nil {
		return p, err
	}
	p.opened, err = idObject(io, name)
	return p, err
}

// directoryValue returns the value of a key of the pool's directory; "": none.
func directoryValue(io *rados.IOContext, key string) (string, error) {
	b, err := omapValue(io, directoryObject, key)
	if gone(err) || err == nil && b == nil {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	s, rest, ok := decodeString(b)
	if !ok || len(rest) > 0 {
		return "", fmt.Errorf("%w: the directory's entry %s does not parse", quarantine.ErrUnavailable, key)
	}
	return s, nil
}

// idObject returns what rbd_id.NAME says; "": there is none.
func idObject(io *rados.IOContext, name string) (string, error) {
	b := make([]byte, 256)
	n, err := io.Read(idObjectPrefix+name, b, 0)
	if gone(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	id, rest, ok := decodeString(b[:n])
	if !ok || len(rest) > 0 {
		return "", fmt.Errorf("%w: the object %s%s does not parse", quarantine.ErrUnavailable, idObjectPrefix, name)
	}
	return id, nil
}

func hasHeader(io *rados.IOContext, id string) (bool, error) {
	_, err := io.Stat(headerPrefix + id)
	if gone(err) {
		return false, nil
	}
	return err == nil, err
}

// errDiffers is the errno of a comparison that failed at the first byte (MAX_ERRNO
// in Ceph's source), also because there is no such object.
const errDiffers = syscall.Errno(4095)

// dropIDObject removes rbd_id.NAME, if it still says the id: nobody opens the image
// by that name from then on. The image itself is not touched.
func dropIDObject(io *rados.IOContext, name, id string) error {
	op := rados.CreateWriteOp()
	defer op.Release()
	op.CmpExt(encodeString(nil, id), 0)
	op.Remove()
	err := op.Operate(io, idObjectPrefix+name, rados.OperationNoFlag)
	if errnoOf(err) >= errDiffers {
		return fmt.Errorf("%w: the name %s changes just now: %v", quarantine.ErrBusy, name, err)
	}
	return err
}

// unlist removes the name with that id from the pool's directory, and not with
// another (ESTALE). Similar to the last step of rbd rm, which cannot be used: with
// the guard on it makes a trash entry of what is no image.
func unlist(io *rados.IOContext, name, id string) error {
	op := rados.CreateWriteOp()
	defer op.Release()
	op.Exec("rbd", "dir_remove_image", encodeString(encodeString(nil, name), id))
	err := op.Operate(io, directoryObject, rados.OperationNoFlag)
	if errnoOf(err) == syscall.ESTALE || gone(err) {
		return fmt.Errorf("%w: the name %s changes just now: %v", quarantine.ErrBusy, name, err)
	}
	return err
}

func encodeString(to []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(to, uint32(len(s))), s...)
}

// freeName takes away what a create of that name left that was cut short, and
// reports whether there was such a thing; with an id, only a name of that id. It
// removes no image: where it acts there is no header, and no data that could be
// read. A create that is under way looks the same, so it serves only for names that
// one caller at a time uses.
func freeName(io *rados.IOContext, name, id string) (bool, error) {
	p, err := placeOf(io, name)
	switch {
	case err != nil || id != "" && p.listed != id:
		return false, err
	case p.listed == "" && p.opened == "":
		return false, nil
	case p.listed == "":
		return dropOldName(io, name, p.opened)
	}
	if there, err := hasHeader(io, p.listed); err != nil || there {
		return false, err // it is that image's name
	}
	switch p.opened {
	case "":
	case p.listed:
		err = dropIDObject(io, name, p.opened)
	default: // a rename to the name of a create that was cut short
		var dropped bool
		if dropped, err = dropOldName(io, name, p.opened); err == nil && !dropped {
			return false, nil
		}
	}
	if err != nil {
		return false, err
	}
	return true, unlist(io, name, p.listed)
}

// dropOldName takes away a name that opens an image which has another now, or is in
// the trash, where no name opens it. An image that the pool has lost keeps it: whoever
// mends that needs it.
func dropOldName(io *rados.IOContext, name, id string) (bool, error) {
	there, err := hasHeader(io, id)
	if err != nil {
		return false, err
	}
	now, err := directoryValue(io, directoryIDPrefix+id)
	if err != nil {
		return false, err
	}
	if there && now == "" {
		e, err := trashSpecOf(io, id)
		if err != nil || e == nil {
			return false, err
		}
	}
	if there && now == name {
		return false, nil
	}
	return true, dropIDObject(io, name, id)
}

// dropName drops a name that opens the image, and that no image is called. ErrBusy
// if the pool has lost the image.
func dropName(io *rados.IOContext, name, id string) error {
	p, err := placeOf(io, name)
	if err != nil || p != (place{opened: id}) {
		return err
	}
	dropped, err := dropOldName(io, name, id)
	if err == nil && !dropped {
		err = fmt.Errorf("%w: image %s is neither in the directory nor in the trash, and %s is all that leads to it", quarantine.ErrBusy, id, name)
	}
	return err
}

// rename renames, finishes a rename that was cut short, and leaves the image one
// name. librbd's own says that it has renamed when the old name is still there.
func rename(io *rados.IOContext, from, to string) error {
	old, err := placeOf(io, from)
	if err != nil {
		return err
	}
	now, err := placeOf(io, to)
	if err != nil {
		return err
	}
	id := old.opened
	switch {
	case id == "":
	case old.listed == "" && now == place{id, id}: // done, but for the old name
		return dropIDObject(io, from, id)
	case old.listed == "":
		// Not ErrNotFound: who asks again would take it for renamed.
		return fmt.Errorf("%w: no live image is called %s, and it opens image %s", quarantine.ErrConflict, from, id)
	case now.listed != "":
		// Asked for it, librbd would give the name a second meaning, and may say
		// that it has renamed.
		return fmt.Errorf("%w: %s is image %s", quarantine.ErrExists, to, now.listed)
	case old.listed != id:
		return fmt.Errorf("%w: %s is image %s, and opens image %s", quarantine.ErrConflict, from, old.listed, id)
	case now == place{opened: id}: // begun
		if err := dropIDObject(io, to, id); err != nil {
			return err
		}
	}
	if err := rbd.GetImage(io, from).Rename(to); err != nil {
		return errors.Join(err, dropLate(io, to, id))
	}
	return oneName(io, from, to, id)
}

// dropLate drops what a rename has begun that came too late: the image was moved to
// the trash meanwhile, and who did that has looked for the name before it was there.
// While the image is live, the rename's next step may be under way still.
func dropLate(io *rados.IOContext, to, id string) error {
	now, err := directoryValue(io, directoryIDPrefix+id)
	if err != nil || now != "" {
		return err
	}
	return dropName(io, to, id)
}

// oneName makes sure that the image of that id is called to, and not from.
func oneName(io *rados.IOContext, from, to, id string) error {
	now, err := placeOf(io, to)
	if err != nil {
		return err
	}
	if now != (place{id, id}) {
		return fmt.Errorf("%w: image %s was renamed to %s, which is %+v", quarantine.ErrUnavailable, id, to, now)
	}
	still, err := idObject(io, from)
	if err != nil || still != id {
		return err
	}
	return dropIDObject(io, from, id)
}
