package opennebula

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"quarantine/internal/quarantine"
)

// More states of a VM than those of its death.
const (
	stateHold           = "2"
	stateCloningFailure = "11"
	lcmRunning          = "3"
	lcmShutdown         = "12"
	lcmBootFailure      = "36"
	lcmPrologFailure    = "39"
)

// vmRecord is what is looked at of a VM that the service has made.
type vmRecord struct {
	ownerXML
	State     string         `xml:"STATE"`
	LCMState  string         `xml:"LCM_STATE"`
	Disks     some[volumeID] `xml:"TEMPLATE>DISK"`
	NICs      some[struct{}] `xml:"TEMPLATE>NIC"`
	Context   *struct{}      `xml:"TEMPLATE>CONTEXT"`
	Request   string         `xml:"USER_TEMPLATE>QUARANTINE_REQUEST"`
	Error     string         `xml:"USER_TEMPLATE>ERROR"`
	Scheduler string         `xml:"USER_TEMPLATE>SCHED_MESSAGE"`
}

type volumeID struct {
	ImageID    string `xml:"IMAGE_ID"`
	Persistent string `xml:"PERSISTENT"`
}

// failed reports whether the VM will not run without somebody's help.
func (v vmRecord) failed() bool {
	switch v.State {
	case stateDone, stateCloningFailure:
		return true
	case stateActive:
		return v.LCMState == lcmBootFailure || v.LCMState == lcmPrologFailure
	}
	return false
}

// dying reports whether the VM is on its way to DONE.
func (v vmRecord) dying() bool {
	return v.State == stateActive && (v.LCMState == lcmShutdown || v.LCMState == lcmEpilog || v.LCMState == lcmCleanupDelete)
}

// lookVM returns a VM. OpenNebula knows those that are DONE, too.
func (a *API) lookVM(ctx context.Context, id int) (vmRecord, error) {
	var v vmRecord
	err := a.get(ctx, &v, "VM", "one.vm.info", id, false)
	if err == nil && v.ID != strconv.Itoa(id) {
		err = fmt.Errorf("VM %d: %w: the answer is of another", id, quarantine.ErrUnavailable)
	}
	return v, err
}

// ownVM returns a VM that was just made. ErrUnavailable if it bears another
// mark: what comes next changes the VM of that id.
func (a *API) ownVM(ctx context.Context, id int, mark string) (v vmRecord, err error) {
	err = a.insist(ctx, func(ctx context.Context) (err error) {
		v, err = a.lookVM(ctx, id)
		return err
	})
	if err == nil && v.Request != mark {
		err = fmt.Errorf("VM %d: %w: it is not what was made", id, quarantine.ErrUnavailable)
	}
	return v, err
}

// markedVM returns the id of the VM with the mark that is not DONE; -1 if there
// is none.
func (a *API) markedVM(ctx context.Context, mark string) (int, error) {
	id := -1
	err := a.insist(ctx, func(ctx context.Context) error {
		all := listing{method: "one.vmpool.infoextended", path: pathVMs, filter: []any{filterNotDone}}
		return list(ctx, a, all, func(v *vmRecord) (err error) {
			if v.Request == mark {
				id, err = v.number()
			}
			return err
		})
	})
	return id, err
}

// Operations of one.vm.recover.
const recoverDelete = 3

// stubborn is how often a VM may refuse to be terminated, because it is on its
// way from one state to another, before it is deleted by force.
const stubborn = 10

// removeVM terminates the VM and waits until it is DONE, and its persistent
// images can be used; nil if it is DONE already. The images are left in the
// state ERROR by a VM that did not get to its epilog, and are enabled again.
func (a *API) removeVM(ctx context.Context, id int) error {
	var disks []volumeID
	refused := 0
	err := a.poll(ctx, func(ctx context.Context) (bool, error) {
		v, err := a.lookVM(ctx, id)
		switch {
		case errors.Is(err, quarantine.ErrNotFound):
			return true, nil
		case err != nil:
			return false, err
		}
		disks = v.Disks
		switch {
		case v.State == stateDone:
			return true, nil
		case v.dying():
			return false, nil
		case refused < stubborn:
			_, err = a.call(ctx, "one.vm.action", "terminate-hard", id)
		default:
			_, err = a.call(ctx, "one.vm.recover", id, recoverDelete)
		}
		if errors.Is(err, quarantine.ErrBusy) {
			refused++
			err = nil
		}
		return false, err
	})
	if err != nil {
		return err
	}
	for _, d := range disks {
		image, err := number(d.ImageID)
		if d.Persistent != "YES" || err != nil {
			continue
		}
		if err := a.freeVolume(ctx, image); err != nil {
			return fmt.Errorf("image %s is not free again: %w", d.ImageID, err)
		}
	}
	return nil
}

// freeVolume waits until no VM has the image; one that is gone is success.
func (a *API) freeVolume(ctx context.Context, id int) error {
	return a.poll(ctx, func(ctx context.Context) (bool, error) {
		r, err := a.lookImage(ctx, id)
		switch {
		case errors.Is(err, quarantine.ErrNotFound):
			return true, nil
		case err != nil:
			return false, err
		case r.State == imageError:
			_, err := a.call(ctx, "one.image.enable", id, true)
			return false, err
		}
		return !r.used(), nil
	})
}
