package opennebula

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"quarantine/internal/quarantine"
)

// BootServer implements quarantine.CloudWriter. o.Flavor is a VM template of
// which CPU, VCPU and MEMORY are taken, and nothing else. The VM is made on hold
// and released when it has its owner: it never runs as the service's own.
func (a *API) BootServer(ctx context.Context, o quarantine.ServerOrder) (quarantine.Made, error) {
	m, err := a.bootServer(ctx, o)
	if err != nil {
		return quarantine.Made{}, fmt.Errorf("cloud %s: boot VM %s from image %s: %w", a.cfg.Cloud, strconv.Quote(o.Name), o.Root, err)
	}
	return m, nil
}

func (a *API) bootServer(ctx context.Context, o quarantine.ServerOrder) (quarantine.Made, error) {
	var none quarantine.Made
	mark := rand.Text()
	to, text, err := a.prepareServer(ctx, o, mark)
	if err != nil {
		return none, err
	}
	id, err := a.number(ctx, "one.vm.allocate", text, true)
	if err == nil {
		_, err = a.ownVM(ctx, id, mark)
		if err == nil {
			var m quarantine.Made
			if m, err = a.launch(ctx, id, o, to); err == nil {
				return m, nil
			}
			undo, cancel := undoing(ctx)
			defer cancel()
			if derr := a.removeVM(undo, id); derr != nil {
				return none, fmt.Errorf("VM %d: %w; it could not be deleted: %s", id, err, derr)
			}
			return none, fmt.Errorf("VM %d: %w", id, err)
		}
	} else if !lost(err) {
		return none, err
	}
	// Nobody has said which it is.
	undo, cancel := undoing(ctx)
	defer cancel()
	id, ferr := a.markedVM(undo, mark)
	if ferr == nil && id >= 0 {
		ferr = a.removeVM(undo, id)
	}
	if ferr != nil {
		return none, fmt.Errorf("%w; whether it was made nevertheless could not be found out (it has the attribute %s=%s): %s", err, requestAttribute, mark, ferr)
	}
	return none, err
}

// prepareServer is what can be done before the cloud has anything.
func (a *API) prepareServer(ctx context.Context, o quarantine.ServerOrder, mark string) (owner, string, error) {
	var nobody owner
	name := plainName(o.Name, longestName)
	switch {
	case name == "":
		return nobody, "", invalidf("no name")
	case o.Defanged && o.Network != "":
		return nobody, "", invalidf("a defanged VM has no network")
	}
	disks := append([]string{o.Root}, o.Data...)
	for i, id := range disks {
		if slices.Contains(disks[:i], id) {
			return nobody, "", invalidf("image %s is given twice", id)
		}
	}
	to, err := a.findOwner(ctx, o.Project, o.Domain, o.Owner)
	if err != nil {
		return nobody, "", err
	}
	var t template
	t.add("NAME", name)
	if err := a.addSize(ctx, &t, o.Flavor); err != nil {
		return nobody, "", err
	}
	t.vector("OS", "BOOT", "disk0")
	t.vector("GRAPHICS", "TYPE", "VNC", "LISTEN", "127.0.0.1")
	for _, id := range disks {
		if err := a.checkVolume(ctx, id); err != nil {
			return nobody, "", err
		}
		t.vector("DISK", "IMAGE_ID", id)
	}
	if o.Network != "" {
		network, err := a.find(ctx, networkPool, o.Network)
		if err != nil {
			return nobody, "", err
		}
		t.vector("NIC", "NETWORK_ID", network.ID)
		t.vector("CONTEXT", "NETWORK", "YES")
	}
	t.add(requestAttribute, mark)
	return to, t.String(), t.addAll(o.Metadata)
}

// addSize adds the size of the VM template; a small one where none is named.
func (a *API) addSize(ctx context.Context, t *template, flavor string) error {
	size := entryXML{CPU: "1", VCPU: "1", Memory: "1024"}
	if flavor != "" {
		var err error
		if size, err = a.find(ctx, templatePool, flavor); err != nil {
			return err
		}
		if size.CPU == "" || size.Memory == "" {
			return invalidf("VM template %s has no CPU or no MEMORY", size.ID)
		}
	}
	t.add("CPU", size.CPU)
	if size.VCPU != "" {
		t.add("VCPU", size.VCPU)
	}
	t.add("MEMORY", size.Memory)
	return nil
}

// checkVolume refuses an image of which the VM would get a clone, or none: that
// would die with the VM.
func (a *API) checkVolume(ctx context.Context, volume string) error {
	var r imageRecord
	id, err := number(volume)
	if err != nil {
		return checkNumber("an image's id", volume)
	}
	err = a.insist(ctx, func(ctx context.Context) (err error) {
		r, err = a.lookImage(ctx, id)
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("image %d: %w", id, err)
	case r.Persistent != "1":
		return invalidf("image %d is not persistent", id)
	case r.State != imageReady:
		return fmt.Errorf("image %d: %w: its state is %s", id, quarantine.ErrBusy, r.State)
	}
	return nil
}

// launch gives the VM on hold to its owner and lets it run.
func (a *API) launch(ctx context.Context, id int, o quarantine.ServerOrder, to owner) (quarantine.Made, error) {
	m := quarantine.Made{Kind: quarantine.ResourceVM, ID: strconv.Itoa(id)}
	if to.given() {
		err := a.insist(ctx, func(ctx context.Context) error {
			_, err := a.call(ctx, "one.vm.chown", id, to.uid, to.gid)
			return err
		})
		if err != nil {
			return m, fmt.Errorf("give it to its owner: %w", err)
		}
	}
	err := a.wait(ctx, func(ctx context.Context) (bool, error) {
		v, err := a.lookVM(ctx, id)
		if err != nil {
			return false, err
		}
		m.Name, m.Project = v.Name, quarantine.Principal{ID: v.GID, Name: cut(v.GName, maxName)}
		switch {
		case o.Defanged && (len(v.NICs) > 0 || v.Context != nil):
			return false, fmt.Errorf("%w: the site gives every VM a network or a context, so it cannot be defanged", quarantine.ErrRefused)
		case !to.has(v.ownerXML):
			return false, fmt.Errorf("%w: it has not got its owner", quarantine.ErrUnavailable)
		case v.State == stateHold:
			_, err := a.call(ctx, "one.vm.action", "release", id)
			if errors.Is(err, quarantine.ErrBusy) {
				err = nil // it is not on hold any more
			}
			return false, err
		case v.failed():
			return false, fmt.Errorf("%w: OpenNebula cannot run it: state %s/%s: %s", quarantine.ErrInvalid, v.State, v.LCMState, printable(v.Error))
		}
		return v.State == stateActive && v.LCMState == lcmRunning, nil
	})
	if errors.Is(err, errWaitOver) {
		if v, verr := a.lookVM(context.WithoutCancel(ctx), id); verr == nil {
			err = fmt.Errorf("%w: state %s/%s: %s", err, v.State, v.LCMState, printable(v.Error+" "+v.Scheduler))
		}
	}
	return m, err
}
