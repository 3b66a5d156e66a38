package opennebula

import (
	"cmp"
	"slices"
	"strconv"

	"quarantine/internal/quarantine"
)

// VM states (STATE), as in OpenNebula's VirtualMachine.
const (
	statePending    = "1"
	stateActive     = "3"
	stateStopped    = "4"
	stateSuspended  = "5"
	stateDone       = "6"
	statePoweroff   = "8"
	stateUndeployed = "9"
)

// States of an ACTIVE VM (LCM_STATE).
const (
	lcmEpilog                = "11"
	lcmCleanupResubmit       = "15"
	lcmHotplug               = "17"
	lcmCleanupDelete         = "23"
	lcmHotplugEpilogPoweroff = "34"
	lcmEpilogFailure         = "40"
)

// imageDelete is the STATE of an image that is being deleted.
const imageDelete = "7"

// Actions of a history record (ACTION).
const (
	actionUndeploy      = "5"
	actionUndeployHard  = "6"
	actionStop          = "9"
	actionSuspend       = "10"
	actionDelete        = "13"
	actionRecreate      = "14"
	actionPoweroff      = "19"
	actionPoweroffHard  = "20"
	actionDetach        = "22"
	actionTerminate     = "27"
	actionTerminateHard = "28"
)

// act is what a VM message reports.
type act struct {
	kind quarantine.Kind
	// record is the history record of the act, nil where it has none.
	record *historyXML
	// proven says that the disks existed and were destroyed.
	proven bool
	// ended says that the VM's ETIME is the end of the act.
	ended bool
}

// act reports what the VM is going through or went through; the kind is empty
// for a state that destroys nothing.
func (v *vmXML) act() act {
	last, previous := v.lastRecords()
	switch v.State {
	case stateActive:
		return v.activeAct(last, previous)
	case statePending:
		if last != nil && last.Action == actionRecreate {
			return act{kind: quarantine.KindRecreate, record: last}
		}
	case stateDone:
		return v.doneAct(last)
	}
	return act{}
}

func (v *vmXML) activeAct(last, previous *historyXML) act {
	switch v.LCMState {
	case lcmEpilog, lcmEpilogFailure:
		return act{kind: quarantine.KindDelete, record: last}
	case lcmCleanupDelete:
		return act{kind: quarantine.KindRecoverDelete, record: last}
	case lcmCleanupResubmit:
		return act{kind: quarantine.KindRecreate, record: last}
	case lcmHotplug, lcmHotplugEpilogPoweroff:
		// Attach and detach share the state. Both close a history record with
		// their action and open another.
		if previous != nil && previous.Action == actionDetach {
			return act{kind: quarantine.KindDiskDetach, record: previous}
		}
	}
	return act{}
}

// doneAct decides by the last action, which is still there when the message is
// an answer to `onevm show` and the previous state is DONE too.
func (v *vmXML) doneAct(last *historyXML) act {
	if last == nil {
		return act{} // it never had a host, and no disks
	}
	was, wasLCM := v.PrevState, v.PrevLCMState
	if was == stateActive && wasLCM == lcmCleanupDelete {
		return act{kind: quarantine.KindRecoverDelete, record: last, ended: true}
	}
	switch last.Action {
	case actionTerminate, actionTerminateHard:
		if was == stateActive && wasLCM != lcmEpilog {
			return act{} // --delete-db of a terminate that failed
		}
		return act{kind: quarantine.KindDelete, record: last, ended: true, proven: was == stateActive}
	case actionDelete:
		return act{kind: quarantine.KindRecoverDelete, record: last, ended: true}
	case actionRecreate:
		return act{kind: quarantine.KindRecreate, record: last}
	}
	switch was {
	case statePoweroff, stateSuspended, stateStopped, stateUndeployed:
	case stateDone:
		if !slices.Contains([]string{
			actionUndeploy, actionUndeployHard, actionStop, actionSuspend, actionPoweroff, actionPoweroffHard,
		}, last.Action) {
			return act{}
		}
	default:
		return act{} // --delete-db of an ACTIVE VM
	}
	return act{kind: quarantine.KindRecoverDelete, ended: true}
}

// lastRecords returns the newest history record and the one before it.
func (v *vmXML) lastRecords() (last, previous *historyXML) {
	records := slices.Clone(v.History)
	slices.SortStableFunc(records, func(a, b historyXML) int {
		return cmp.Compare(seq(a), seq(b))
	})
	if n := len(records); n > 0 {
		last = &records[n-1]
		if n > 1 {
			previous = &records[n-2]
		}
	}
	return last, previous
}

func seq(h historyXML) int {
	n, err := strconv.Atoi(h.Seq)
	if err != nil {
		return -1
	}
	return n
}
