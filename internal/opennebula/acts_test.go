package opennebula_test

import (
	"slices"
	"strings"
	"testing"

	"quarantine/internal/quarantine"
)

// edit returns the VM or IMAGE of a recorded message with the old strings
// replaced by the new ones, everywhere. Each must be there.
func edit(t *testing.T, file string, oldnew ...string) []byte {
	t.Helper()
	doc := object(t, body(t, file))
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(doc, oldnew[i]) {
			t.Fatalf("%s has no %s", file, oldnew[i])
		}
		doc = strings.ReplaceAll(doc, oldnew[i], oldnew[i+1])
	}
	return []byte(doc)
}

// The messages of a recreate lead to one Deletion, and a second recreate of
// the VM to another: the VM lives on under its number. None of them says the
// end, after which a death would not be explained by it any more.
func TestRecreate(t *testing.T) {
	t.Parallel()
	const cleanup = "zmq/00194.frame1" // of a recover --delete
	resubmit := edit(t, cleanup, "<LCM_STATE>23<", "<LCM_STATE>15<", "<ACTION>13<", "<ACTION>14<")
	pending := edit(t, cleanup, "<STATE>3<", "<STATE>1<", "<LCM_STATE>23<", "<LCM_STATE>0<", "<PREV_LCM_STATE>3<", "<PREV_LCM_STATE>15<", "<ACTION>13<", "<ACTION>14<")
	done := edit(t, cleanup, "<STATE>3<", "<STATE>6<", "<LCM_STATE>23<", "<LCM_STATE>0<", "<PREV_STATE>3<", "<PREV_STATE>1<", "<ACTION>13<", "<ACTION>14<")
	got := merged(t, [][]byte{resubmit, pending, done})
	want := []string{"recreate of vm 2 web3 (experiment/alice) by oneadmin on node2 from 22:37:14: one/one-1-2-0*(root) one/one-sys-2-2*(ephemeral) one/one-sys-2-3*(swap) one/one-sys-2-checkpoint(disk)"}
	if !slices.Equal(lines(got), want) {
		t.Fatalf("got %q, want %q", lines(got), want)
	}
	again := decode(t, edit(t, cleanup, "<LCM_STATE>23<", "<LCM_STATE>15<", "<ACTION>13<", "<ACTION>14<", "<SEQ>0<", "<SEQ>3<"))
	if len(again) != 1 || again[0].ID == got[0].ID {
		t.Errorf("a second recreate is %q with the id of the first", lines(again))
	}
}

// Of a disk-detach only a disk that dies is reported, from a VM that runs or
// is powered off; an attach goes through the same state.
func TestDetach(t *testing.T) {
	t.Parallel()
	const hotplug = "zmq/00533.frame1"
	poweroff := decode(t, edit(t, hotplug, "<LCM_STATE>17<", "<LCM_STATE>34<"))
	if want := decode(t, body(t, hotplug)); !slices.EqualFunc(poweroff, want, quarantine.Deletion.Equal) || len(want) != 1 {
		t.Errorf("from POWEROFF got %q, want %q", lines(poweroff), lines(want))
	}
	for name, b := range map[string][]byte{
		"an attach":         edit(t, hotplug, "<ACTION>22<", "<ACTION>21<"),
		"a persistent disk": edit(t, hotplug, "<ATTACH><![CDATA[YES]]></ATTACH>", "", "<DISK_ID><![CDATA[1]]>", "<ATTACH>YES</ATTACH><DISK_ID><![CDATA[1]]>"),
	} {
		if got := decode(t, b); got != nil {
			t.Errorf("%s reports %q", name, lines(got))
		}
	}
}

// What a VM in DONE went through is decided by its last action and its
// previous state. Disks are required only after an epilog that ended well, and
// never where it may have been a --delete-db.
func TestDone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		prevState, prevLCM, action string
		kind                       quarantine.Kind
		required                   bool
	}{
		{"3", "11", "27", quarantine.KindDelete, true},
		{"3", "11", "28", quarantine.KindDelete, true},
		{"6", "0", "27", quarantine.KindDelete, false}, // onevm show: the end of the epilog is not seen
		{"3", "40", "28", "", false},                   // --delete-db after an epilog that failed
		{"3", "12", "27", "", false},                   // --delete-db during the shutdown
		{"3", "23", "13", quarantine.KindRecoverDelete, false},
		{"3", "23", "14", quarantine.KindRecoverDelete, false}, // recover --delete during a recreate
		{"6", "0", "13", quarantine.KindRecoverDelete, false},
		{"3", "15", "14", quarantine.KindRecreate, false}, // --delete-db during a recreate
		{"8", "0", "20", quarantine.KindRecoverDelete, false},
		{"8", "0", "0", quarantine.KindRecoverDelete, false}, // the guest powered itself off
		{"5", "0", "10", quarantine.KindRecoverDelete, false},
		{"4", "0", "9", quarantine.KindRecoverDelete, false},
		{"9", "0", "5", quarantine.KindRecoverDelete, false},
		{"6", "0", "6", quarantine.KindRecoverDelete, false},
		{"6", "0", "0", "", false}, // --delete-db of a running VM, later
		{"3", "3", "0", "", false}, // --delete-db of a running VM
		{"3", "39", "0", "", false},
		{"2", "0", "0", "", false}, // HOLD
		{"1", "0", "0", "", false}, // PENDING
	}
	for _, tt := range tests {
		got := decode(t, edit(t, "zmq/00182.frame1",
			"<PREV_STATE>3<", "<PREV_STATE>"+tt.prevState+"<",
			"<PREV_LCM_STATE>11<", "<PREV_LCM_STATE>"+tt.prevLCM+"<",
			"<ACTION>27<", "<ACTION>"+tt.action+"<"))
		switch {
		case tt.kind == "":
			if got != nil {
				t.Errorf("DONE after %s/%s with action %s reports %q", tt.prevState, tt.prevLCM, tt.action, lines(got))
			}
		case len(got) != 1 || got[0].Kind != tt.kind:
			t.Errorf("DONE after %s/%s with action %s reports %q, want a %s", tt.prevState, tt.prevLCM, tt.action, lines(got), tt.kind)
		default:
			for _, d := range got[0].Disks {
				if d.Required != (tt.required && d.Prefix) {
					t.Errorf("DONE after %s/%s with action %s: %s required: %t", tt.prevState, tt.prevLCM, tt.action, d.Name, d.Required)
				}
			}
		}
	}
}

// A VM's history is not always in order, and its last record decides.
func TestLastRecord(t *testing.T) {
	t.Parallel()
	const detached = "zmq/00549.frame1" // four records, the last with a terminate
	doc := string(edit(t, detached, "<LCM_STATE>12<", "<LCM_STATE>11<"))
	from, to := strings.Index(doc, "<HISTORY>"), strings.LastIndex(doc, "</HISTORY>")
	records := strings.Split(doc[from:to+len("</HISTORY>")], "</HISTORY>")
	records = records[:len(records)-1]
	if len(records) < 3 {
		t.Fatalf("the recording has %d records", len(records))
	}
	slices.Reverse(records)
	turned := doc[:from] + strings.Join(records, "</HISTORY>") + "</HISTORY>" + doc[to+len("</HISTORY>"):]
	want, got := decode(t, []byte(doc)), decode(t, []byte(turned))
	if len(want) != 1 || want[0].Kind != quarantine.KindDelete || !slices.EqualFunc(got, want, quarantine.Deletion.Equal) {
		t.Errorf("got %q, want %q", lines(got), lines(want))
	}
}
