package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"quarantine/internal/quarantine"
)

// One daemon serves an OpenStack and an OpenNebula on one Ceph: images of the
// same name that die at the same time, of machines with the same number, in a
// pool of each, are each joined with the machine of their own cloud.
func TestTwoCloudsOneLedger(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{clouds: "  - {name: os, type: generic}\n  - {name: one, type: opennebula}\n"})
	second, err := s.lab.NewPool(s.ctx, "daemon")
	if err != nil {
		t.Fatal(err)
	}
	s.guardPool(second)
	s.configure("    pools:\n", fmt.Sprintf("    pools:\n      - {name: %s, cloud: one}\n", second))
	p := s.start()

	const name = "one-1-19-0"
	first := s.spec
	content := map[string][]byte{}
	for _, pool := range []string{first, second} {
		s.spec = pool
		content[pool] = s.image(name)
		s.remove(name)
	}
	p.wait(2, quarantine.Quarantined)
	p.post(deletion{ResourceID: "19", ResourceName: "of OpenStack", User: "ann", Addresses: []string{"192.0.2.19"}, Disks: []ref{{Name: name, Role: "root"}}})
	message := fmt.Sprintf(`<VM><ID>19</ID><UID>2</UID><GID>100</GID><UNAME>alice</UNAME><GNAME>experiment</GNAME><NAME>of OpenNebula</NAME>`+
		`<STATE>3</STATE><LCM_STATE>11</LCM_STATE><PREV_STATE>3</PREV_STATE><PREV_LCM_STATE>11</PREV_LCM_STATE><STIME>1</STIME><ETIME>0</ETIME>`+
		`<TEMPLATE><DISK><DISK_ID>0</DISK_ID><TYPE>RBD</TYPE><DISK_TYPE>RBD</DISK_TYPE><TM_MAD>ceph</TM_MAD><CLONE>YES</CLONE><SOURCE>%s/one-1</SOURCE></DISK>`+
		`<NIC><IP>198.51.100.19</IP></NIC></TEMPLATE><HISTORY_RECORDS><HISTORY><SEQ>0</SEQ><TM_MAD>ceph</TM_MAD><ACTION>27</ACTION></HISTORY></HISTORY_RECORDS></VM>`, second)
	if _, err := p.Hook(s.ctx, "opennebula", "one", false, []byte(base64.StdEncoding.EncodeToString([]byte(message)))); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{first: "os of OpenStack ann 192.0.2.19", second: "one of OpenNebula alice 198.51.100.19"}
	disks := p.disks(quarantine.Quarantined)
	for _, d := range disks {
		if got := strings.Join([]string{d.Cloud, d.ResourceName, d.User, strings.Join(d.Addresses, ",")}, " "); got != want[d.Pool] {
			t.Errorf("the disk in %s is of %q, want %q", d.Pool, got, want[d.Pool])
		}
		same(t, "the disk in "+d.Pool, p.bytesOf(d.ID), content[d.Pool])
	}
	if len(disks) != 2 || disks[0].ID == disks[1].ID {
		t.Fatalf("the disks are %+v", disks)
	}
	// A report in another cloud's form is not taken.
	b, err := json.Marshal(deletion{ResourceID: "20", Disks: []ref{{Name: name}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Hook(s.ctx, "generic", "one", false, b); !errors.Is(err, quarantine.ErrInvalid) {
		t.Errorf("a report in the generic form for the OpenNebula: %v", err)
	}
}
