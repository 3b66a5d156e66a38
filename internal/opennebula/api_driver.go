package opennebula

import (
	"context"
	"errors"
	"path"
	"strings"

	"quarantine/internal/quarantine"
)

// DriverCall is a call of one of OpenNebula's Ceph drivers that removes images,
// before the driver is run.
type DriverCall struct {
	// Action is TMDelete or DatastoreRM.
	Action string
	// Args are those of tm/ceph/delete: <host>:<directory>/disk.<disk>, the id of
	// the VM, the id of the datastore. The last call for a VM has the directory
	// alone.
	Args []string
	// Data is what datastore/ceph/rm gets on stdin: base64 of a
	// DS_DRIVER_ACTION_DATA with the IMAGE.
	Data []byte
}

// The actions of a DriverCall.
const (
	TMDelete    = "tm-delete"
	DatastoreRM = "datastore-rm"
)

// Dying returns the Deletion that a driver's call is a part of, and the images
// that this call is about to remove: a disk with what reverts to its snapshots
// left of it; the memory of a suspended VM with its directory; an image.
//
// There are none where the driver removes nothing from Ceph (a persistent disk,
// a disk in a file). The Deletion is empty too if the call is a part of none.
// Errors wrap ErrInvalid for a call that is none of OpenNebula's, ErrNotFound if
// there is no such VM, ErrUnavailable if the front-end could not be asked.
func (a *API) Dying(ctx context.Context, call DriverCall) (quarantine.Deletion, []quarantine.DiskRef, error) {
	switch call.Action {
	case TMDelete:
		return a.diskDying(ctx, call.Args)
	case DatastoreRM:
		return a.imageDying(ctx, call.Data)
	}
	return quarantine.Deletion{}, nil, invalidf("no driver's action is called %q", cut(call.Action, 40))
}

func (a *API) diskDying(ctx context.Context, args []string) (quarantine.Deletion, []quarantine.DiskRef, error) {
	none := quarantine.Deletion{}
	if len(args) != 3 {
		return none, nil, invalidf("tm/ceph/delete has %d arguments, not 3", len(args))
	}
	_, where, ok := strings.Cut(args[0], ":")
	if !ok || !path.IsAbs(where) {
		return none, nil, invalidf("%q is no <host>:<path>", cut(args[0], 200))
	}
	id, err := number(args[1])
	if err != nil {
		return none, nil, invalidf("the VM is %q, not a number", cut(args[1], 40))
	}
	if err := checkNumber("the datastore", args[2]); err != nil {
		return none, nil, err
	}
	v, err := a.vm(ctx, id)
	if err != nil {
		return none, nil, err
	}
	act, err := v.driverAct()
	if err != nil || act == nil {
		return none, nil, err
	}
	d := act.of(a.cfg.Cloud)
	if disk, ok := strings.CutPrefix(path.Base(where), "disk."); ok && checkNumber("", disk) == nil {
		return d, v.refsOf(disk, d), nil
	}
	if d.Kind == quarantine.KindDiskDetach {
		return d, nil, nil
	}
	return d, []quarantine.DiskRef{v.checkpoint()}, nil
}

// driverAct is what the VM goes through while a driver deletes its disks; nil
// if it is nothing. That it does so tells a recover --delete from a --delete-db.
func (v *vmXML) driverAct() (*deletion, error) {
	d, err := v.deletion()
	if err != nil {
		return nil, unreadable("%s", err)
	}
	if d != nil || v.State != stateDone {
		return d, nil
	}
	d = v.report(act{kind: quarantine.KindRecoverDelete})
	d.StartedAt, d.EndedAt = unix(v.ETime), unix(v.ETime)
	return d, nil
}

// refsOf names the images of one disk, as the act has them if it does.
func (v *vmXML) refsOf(disk string, of quarantine.Deletion) []quarantine.DiskRef {
	for _, d := range v.Disks {
		if d.ID != disk {
			continue
		}
		ref, ok := d.ref(v.ID)
		if !ok {
			return nil
		}
		for _, r := range of.Disks {
			if r.Name == ref.Name && r.Pool == ref.Pool && r.Namespace == ref.Namespace {
				return []quarantine.DiskRef{r}
			}
		}
		if of.Kind == quarantine.KindDiskDetach {
			return nil // another disk than the one that is being detached
		}
		return []quarantine.DiskRef{ref}
	}
	return nil // the context, which is a file on the host
}

// Directory reports whether it is the call for a VM's directory on its host,
// which is removed with the checkpoint.
func (c DriverCall) Directory() bool {
	return c.Action == TMDelete && len(c.Args) > 0 && !strings.HasPrefix(path.Base(c.Args[0]), "disk.")
}

// imageDying asks the front-end whether it deletes the image: the data alone, which
// whoever can post to the service can write, must not take a living one away. Of
// an image that is gone already nothing is left to be taken.
func (a *API) imageDying(ctx context.Context, data []byte) (quarantine.Deletion, []quarantine.DiskRef, error) {
	none := quarantine.Deletion{}
	if len(data) > MaxBody {
		return none, nil, invalidf("the driver's data has %d bytes, more than %d", len(data), MaxBody)
	}
	doc, err := unwrap(data)
	if err != nil {
		return none, nil, err
	}
	d, err := newDecoder(doc)
	if err != nil {
		return none, nil, err
	}
	root, err := start(d)
	if err == nil && root.Name.Local != "DS_DRIVER_ACTION_DATA" {
		return none, nil, invalidf("the root element is <%s>, not DS_DRIVER_ACTION_DATA", cut(root.Name.Local, 40))
	}
	var x struct {
		Image     *imageXML    `xml:"IMAGE"`
		Datastore datastoreXML `xml:"DATASTORE"`
	}
	if err == nil {
		err = d.DecodeElement(&x, &root)
	}
	if err == nil && x.Image == nil {
		err = errors.New("it has no IMAGE")
	}
	if err != nil {
		return none, nil, badXML("read the driver's data", err)
	}
	image, err := x.Image.deletion()
	if err != nil || image == nil {
		return none, nil, err
	}
	if ref := &image.Disks[0]; ref.Pool == "" {
		ref.Pool, ref.Namespace = poolName(x.Datastore.PoolName)
	}
	is := image.of(a.cfg.Cloud)
	id, err := number(x.Image.ID)
	if err != nil {
		return none, nil, err
	}
	now, err := a.image(ctx, id)
	switch {
	case errors.Is(err, quarantine.ErrNotFound):
		return is, nil, nil
	case err != nil:
		return none, nil, err
	case now.State != imageDelete || now.Source != x.Image.Source:
		return none, nil, invalidf("the front-end is not deleting image %d, or it has another SOURCE", id)
	}
	return is, is.Disks, nil
}
