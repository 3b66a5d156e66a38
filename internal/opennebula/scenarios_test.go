package opennebula_test

import (
	"encoding/base64"
	"slices"
	"testing"

	"quarantine/internal/quarantine"
)

// scenario is one thing that was done to the recorded OpenNebula.
type scenario struct {
	name string
	// reports are the messages that must report a Deletion, silent those that
	// must report none.
	reports, silent []string
	// want is what they report together.
	want []string
}

func scenarios() []scenario {
	return []scenario{
		{
			name:    "terminate of a running VM",
			reports: []string{"zmq/00178.frame1", "hooks/0206-st_epilog.stdin", "zmq/00182.frame1", "hooks/0215-st_done.stdin", "hooks/0217-argv_done.argv", "xmlrpc/vm_info_done.response.xml"},
			silent:  []string{"zmq/00175.frame1", "hooks/0200-api_one_vm_action.stdin", "hooks/0199-argv_api_vm_action.argv", "zmq/00176.frame1", "hooks/0201-st_shutdown_lcm.stdin", "xmlrpc/vm_info_running.response.xml"},
			want:    []string{"delete of vm 0 web1 (experiment/alice) on node1 from 22:36:57 to 22:37:02: one/one-1-0-0*!(root) one/one-sys-0-2*!(ephemeral) one/one-sys-0-3*!(swap) one/one-sys-0-checkpoint(disk)"},
		},
		{
			name:    "terminate --hard",
			reports: []string{"zmq/00187.frame1", "zmq/00191.frame1"},
			want:    []string{"delete of vm 1 web2 (experiment/alice) on node1 from 22:37:06 to 22:37:11: one/one-1-1-0*!(root) one/one-sys-1-2*!(ephemeral) one/one-sys-1-3*!(swap) one/one-sys-1-checkpoint(disk)"},
		},
		{
			name:    "terminate from POWEROFF",
			reports: []string{"zmq/00206.frame1", "zmq/00210.frame1"},
			silent:  []string{"zmq/00201.frame1", "zmq/00203.frame1"},
			want:    []string{"delete of vm 3 web4 (experiment/alice) on node1 from 22:37:22 to 22:37:28: one/one-1-3-0*!(root) one/one-sys-3-2*!(ephemeral) one/one-sys-3-3*!(swap) one/one-sys-3-checkpoint(disk)"},
		},
		{
			// The record's own end is of the undeploy, 22:40:21.
			name:    "terminate from UNDEPLOYED",
			reports: []string{"zmq/00297.frame1", "zmq/00303.frame1"},
			silent:  []string{"zmq/00290.frame1", "zmq/00292.frame1", "zmq/00294.frame1"},
			want:    []string{"delete of vm 7 und1 (experiment/alice) on node1 from 22:40:23 to 22:40:37: one/one-1-7-0*!(root) one/one-sys-7-2*!(ephemeral) one/one-sys-7-3*!(swap) one/one-sys-7-checkpoint(disk)"},
		},
		{
			// OpenNebula turns it into a recover --delete by the same user.
			name:    "terminate from EPILOG_UNDEPLOY_FAILURE",
			reports: []string{"zmq/00220.frame1", "zmq/00224.frame1"},
			silent:  []string{"zmq/00213.frame1", "zmq/00215.frame1", "zmq/00217.frame1"},
			want:    []string{"recover-delete of vm 4 web5 (experiment/alice) by alice on node1 from 22:38:08 to 22:38:08: one/one-1-4-0*(root) one/one-sys-4-2*(ephemeral) one/one-sys-4-3*(swap) one/one-sys-4-checkpoint(disk)"},
		},
		{
			name:    "terminate from EPILOG_STOP_FAILURE",
			reports: []string{"zmq/00234.frame1", "zmq/00238.frame1"},
			silent:  []string{"zmq/00227.frame1", "zmq/00229.frame1", "zmq/00231.frame1"},
			want:    []string{"recover-delete of vm 5 web6 (experiment/alice) by alice on node1 from 22:38:49 to 22:38:49: one/one-1-5-0*(root) one/one-sys-5-2*(ephemeral) one/one-sys-5-3*(swap) one/one-sys-5-checkpoint(disk)"},
		},
		{
			name:   "terminate from HOLD: there are no disks yet",
			silent: []string{"zmq/00244.frame1", "zmq/00246.frame1"},
		},
		{
			name:    "recover --delete of a running VM",
			reports: []string{"zmq/00194.frame1", "hooks/0244-st_cleanup_delete.stdin", "zmq/00198.frame1", "hooks/0251-st_done.stdin", "xmlrpc/vm_info_done_recover_delete.response.xml"},
			silent:  []string{"zmq/00193.frame1"},
			want:    []string{"recover-delete of vm 2 web3 (experiment/alice) by oneadmin on node2 from 22:37:14 to 22:37:15: one/one-1-2-0*(root) one/one-sys-2-2*(ephemeral) one/one-sys-2-3*(swap) one/one-sys-2-checkpoint(disk)"},
		},
		{
			name:    "recover --delete from POWEROFF",
			reports: []string{"zmq/00362.frame1", "hooks/0509-st_done.stdin"},
			silent:  []string{"zmq/00354.frame1", "zmq/00356.frame1", "zmq/00364.frame1", "hooks/0510-api_one_vm_recover.stdin"},
			want:    []string{"recover-delete of vm 9 rdp1 (experiment/alice) on node1 from 22:41:11 to 22:41:11: one/one-1-9-0*(root) one/one-sys-9-2*(ephemeral) one/one-sys-9-3*(swap) one/one-sys-9-checkpoint(disk)"},
		},
		{
			name:   "recover --delete-db of a running VM",
			silent: []string{"zmq/00452.frame1", "hooks/0632-st_done.stdin", "zmq/00456.frame1"},
		},
		{
			// The messages of the recreate itself were not recorded; constructed
			// ones are in TestRecreate.
			name:   "after a recreate",
			silent: []string{"zmq/00472.frame1", "zmq/00482.frame1"},
		},
		{
			name:    "terminate, retry and recover --success with an image that is gone",
			reports: []string{"zmq/00503.frame1", "hooks/0701-st_epilog_failure.stdin", "zmq/00505.frame1", "zmq/00507.frame1", "zmq/00513.frame1", "zmq/00517.frame1"},
			silent:  []string{"zmq/00500.frame1", "zmq/00501.frame1", "zmq/00509.frame1"},
			want:    []string{"delete of vm 15 epf1 (experiment/alice) on node1 from 22:44:33 to 22:44:52: one/one-1-15-0*!(root) one/one-sys-15-2*!(ephemeral) one/one-sys-15-3*!(swap) one/one-sys-15-checkpoint(disk)"},
		},
		{
			name:    "terminate that fails, then recover --retry",
			reports: []string{"zmq/00735.frame1", "zmq/00737.frame1", "zmq/00739.frame1", "zmq/00744.frame1"},
			want:    []string{"delete of vm 20 wf1 (experiment/alice) on node2 from 23:30:15 to 23:30:23: one/one-1-20-0*!(root) one/one-sys-20-2*!(ephemeral) one/one-sys-20-3*!(swap) one/one-sys-20-checkpoint(disk)"},
		},
		{
			name:    "recover --delete whose disks stay",
			reports: []string{"zmq/00761.frame1", "zmq/00765.frame1"},
			want:    []string{"recover-delete of vm 21 wf2 (experiment/alice) by oneadmin on node2 from 23:30:29 to 23:30:29: one/one-1-21-0*(root) one/one-sys-21-2*(ephemeral) one/one-sys-21-3*(swap) one/one-sys-21-checkpoint(disk)"},
		},
		{
			name:   "terminate of a guest that does not shut down",
			silent: []string{"zmq/00548.frame1", "zmq/00549.frame1", "zmq/00551.frame1"},
		},
		{
			name:    "disk-detach: volatile, then a clone, of one VM",
			reports: []string{"zmq/00533.frame1", "zmq/00538.frame1"},
			silent:  []string{"zmq/00535.frame1", "zmq/00536.frame1", "zmq/00540.frame1", "zmq/00541.frame1", "hooks/0743-api_one_vm_detach.stdin"},
			want: []string{
				"disk-detach of vm 16 det1 (experiment/alice) by oneadmin on node1 from 22:45:26: one/one-sys-16-2*(ephemeral)",
				"disk-detach of vm 16 det1 (experiment/alice) by oneadmin on node1 from 22:45:35: one/one-1-16-0*(root)",
			},
		},
		{
			name:    "disk-detach on a real driver",
			reports: []string{"zmq/00802.frame1"},
			silent:  []string{"zmq/00805.frame1"},
			want:    []string{"disk-detach of vm 23 det2 (experiment/alice) by oneadmin on node2 from 23:30:56: one/one-sys-23-2*(ephemeral)"},
		},
		{
			name:   "disk snapshots, reverts",
			silent: []string{"zmq/00543.frame1", "zmq/00546.frame1", "zmq/00582.frame1", "zmq/00585.frame1"},
		},
		{
			name:    "image delete",
			reports: []string{"zmq/00594.frame1", "hooks/0831-st_image_delete.stdin", "zmq/00596.frame1"},
			silent:  []string{"hooks/0830-api_one_image_delete.stdin"},
			want:    []string{"image-delete of image 2 pers-1 (experiment/alice): one/one-2(image)"},
		},
		{
			name:    "image delete that fails and is repeated",
			reports: []string{"zmq/00597.frame1", "zmq/00599.frame1", "zmq/00683.frame1", "zmq/00685.frame1"},
			silent:  []string{"zmq/00600.frame1"},
			want:    []string{"image-delete of image 3 pers-2 (experiment/alice): one/one-3(image)"},
		},
		{
			name:    "terminate of a VM with an adopted persistent disk, which stays; then its image is deleted",
			reports: []string{"zmq/00640.frame1", "zmq/00644.frame1", "zmq/00646.frame1", "zmq/00648.frame1"},
			want: []string{
				"delete of vm 18 adopt1 (experiment/alice) on node2 from 22:48:59 to 22:49:08: one/one-1-18-0*!(root) one/one-sys-18-2*!(ephemeral) one/one-sys-18-3*!(swap) one/one-sys-18-checkpoint(disk)",
				"image-delete of image 20 restored-web-disk0 (experiment/alice): one/quarantined-15-0(image)",
			},
		},
		{
			name: "what destroys nothing",
			silent: []string{
				"zmq/00001.frame1",                   // image.allocate that failed
				"zmq/00003.frame1",                   // IMAGE READY
				"zmq/00009.frame1",                   // image.allocate
				"zmq/00089.frame1",                   // vm.allocate: not well-formed, its parameters are not escaped
				"zmq/00091.frame1",                   // VM ACTIVE/LCM_INIT
				"zmq/00093.frame1",                   // VM PROLOG
				"zmq/00097.frame1",                   // VM RUNNING
				"zmq/00602.frame1",                   // vmpool.infoset, with VMs in DONE
				"zmq/00606.frame1",                   // vm.action that failed
				"hooks/0863-api_one_vm_action.stdin", // the same, as a hook gets it
			},
		},
	}
}

// Each recorded scenario reports exactly the Deletions that it caused, with
// the right identity and disks, however its messages come: in order, in
// reverse, from any of them on, each twice. And each message alone, in each
// form that a hook script may post, leads to one of the same ids.
func TestScenarios(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for _, f := range s.silent {
				if got := decode(t, body(t, f)); got != nil {
					t.Errorf("%s reports %q, want nothing", f, lines(got))
				}
			}
			var all [][]byte
			for _, f := range s.reports {
				all = append(all, body(t, f))
			}
			want := merged(t, all)
			if got := lines(want); !slices.Equal(got, s.want) {
				t.Fatalf("got\n%q\nwant\n%q", got, s.want)
			}
			for name, order := range orders(all) {
				got := merged(t, order)
				if len(got) != len(want) {
					t.Fatalf("%s: got %q", name, lines(got))
				}
				for _, w := range want {
					if !slices.ContainsFunc(got, w.Equal) {
						t.Errorf("%s: got %q, want %q among it", name, lines(got), line(w))
					}
				}
			}
			for i, f := range s.reports {
				alone := decode(t, all[i])
				if len(alone) != 1 || !slices.Contains(ids(want), alone[0].ID) {
					t.Errorf("%s alone reports %q", f, lines(alone))
				}
				for name, form := range forms(t, all[i]) {
					if got := decode(t, form); !slices.Equal(ids(got), ids(alone)) {
						t.Errorf("%s as %s reports %q, want %q", f, name, lines(got), lines(alone))
					}
				}
			}
		})
	}
}

// orders are the messages in other orders.
func orders(all [][]byte) map[string][][]byte {
	reversed := slices.Clone(all)
	slices.Reverse(reversed)
	out := map[string][][]byte{
		"reversed":    reversed,
		"twice":       slices.Concat(all, all),
		"there, back": slices.Concat(all, reversed),
	}
	for i := 1; i < len(all); i++ {
		out["from number "+string(rune('0'+i))] = slices.Concat(all[i:], all[:i])
	}
	return out
}

// forms are the other forms of a message.
func forms(t *testing.T, b []byte) map[string][]byte {
	doc := document(t, b)
	wrapped := ""
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString([]byte(doc))), 76) {
		wrapped += string(line) + "\n"
	}
	return map[string][]byte{
		"XML":               []byte(doc),
		"XML with a header": []byte("<?xml version=\"1.0\"?>\n" + doc + "\n"),
		"base64":            []byte(base64.StdEncoding.EncodeToString([]byte(doc)) + "\n"),
		"base64 unpadded":   []byte(base64.RawStdEncoding.EncodeToString([]byte(doc))),
		"base64 wrapped":    []byte(wrapped),
	}
}

func ids(ds []quarantine.Deletion) []string {
	var out []string
	for _, d := range ds {
		out = append(out, d.ID)
	}
	return out
}
