package ceph

import (
	"encoding/binary"
	"fmt"

	"github.com/ceph/go-ceph/rados"

	"quarantine/internal/quarantine"
)

// librbd makes and renames an image in several steps, and finishes nothing that a
// client died in: the name is taken for good then. What is left is told by these
// objects, and is made good when the same is asked for again.
//
//	create: the directory gets name and id → rbd_id.NAME → rbd_header.ID
//	rename: rbd_id.TO → the directory's name becomes TO → rbd_id.FROM goes
//
// (CreateRequest and RenameRequest in librbd.) An image is there from its header
// on. By a name librbd opens what rbd_id.NAME says, whatever the directory has.

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
	if p.listed, err = listed(io, directoryNamePrefix+name); err != nil {
		return p, err
	}
	b := make([]byte, 256)
	n, err := io.Read(idObjectPrefix+name, b, 0)
	if gone(err) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	id, rest, ok := decodeString(b[:n])
	if !ok || len(rest) > 0 {
		return p, fmt.Errorf("%w: the object %s%s does not parse", quarantine.ErrUnavailable, idObjectPrefix, name)
	}
	p.opened = id
	return p, nil
}

// listed returns the value of a key of the pool's directory; "": it has none.
func listed(io *rados.IOContext, key string) (string, error) {
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

// forgetName removes rbd_id.NAME, if it still says the id: nobody opens the image
// by that name from then on. The image itself is not touched.
func forgetName(io *rados.IOContext, name, id string) error {
	op := rados.CreateWriteOp()
	defer op.Release()
	op.CmpExt(encodeString(nil, id), 0)
	op.Remove()
	if err := op.Operate(io, idObjectPrefix+name, rados.OperationNoFlag); err != nil && !gone(err) {
		return err
	}
	return nil
}

// unlist removes the name with that id from the pool's directory, and not with
// another (ESTALE). Similar to the last step of rbd rm, which cannot be used: with
// the guard on it makes a trash entry of what is no image.
func unlist(io *rados.IOContext, name, id string) error {
	op := rados.CreateWriteOp()
	defer op.Release()
	op.Exec("rbd", "dir_remove_image", encodeString(encodeString(nil, name), id))
	if err := op.Operate(io, directoryObject, rados.OperationNoFlag); err != nil && !gone(err) {
		return err
	}
	return nil
}

func encodeString(to []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(to, uint32(len(s))), s...)
}

// clearName takes away what a create of that name left that was cut short, and
// reports whether there was such a thing. It removes no image: without a header
// there is none, and nothing was ever written to it. A create that is under way
// looks the same, so it serves only for names that one caller at a time uses.
func clearName(io *rados.IOContext, name string) (bool, error) {
	p, err := placeOf(io, name)
	switch {
	case err != nil:
		return false, err
	case p.listed == "" && p.opened == "":
		return false, nil
	case p.listed == "":
		return clearRenamed(io, name, p.opened)
	case p.opened != "" && p.opened != p.listed:
		return false, nil // librbd leaves nothing of the kind
	}
	if there, err := hasHeader(io, p.listed); err != nil || there {
		return false, err // it is that image's name
	}
	if p.opened != "" {
		if err := forgetName(io, name, p.opened); err != nil {
			return false, err
		}
	}
	return true, unlist(io, name, p.listed)
}

// clearRenamed takes away the old name of an image that has another now. One that
// the directory has lost keeps it: whoever mends that needs it.
func clearRenamed(io *rados.IOContext, name, id string) (bool, error) {
	there, err := hasHeader(io, id)
	if err != nil {
		return false, err
	}
	if now, err := listed(io, directoryIDPrefix+id); err != nil || there && (now == "" || now == name) {
		return false, err
	}
	return true, forgetName(io, name, id)
}

func hasHeader(io *rados.IOContext, id string) (bool, error) {
	_, err := io.Stat(headerPrefix + id)
	if gone(err) {
		return false, nil
	}
	return err == nil, err
}

// finishRename makes good what a rename left that was cut short. again: it is to be
// asked for once more; done: it is finished.
func finishRename(io *rados.IOContext, from, to string) (again, done bool, err error) {
	old, err := placeOf(io, from)
	if err != nil {
		return false, false, err
	}
	now, err := placeOf(io, to)
	if err != nil || old.opened == "" || now.opened != old.opened {
		return false, false, err // the other name is another image's
	}
	switch id := old.opened; {
	case old.listed == id && now.listed == "":
		return true, false, forgetName(io, to, id)
	case old.listed == "" && now.listed == id:
		return false, true, forgetName(io, from, id)
	}
	return false, false, nil
}
