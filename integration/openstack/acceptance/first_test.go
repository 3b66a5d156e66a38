//go:build openstack

package acceptance

import (
	"fmt"
	"slices"
	"testing"

	openstacklab "quarantine/integration/openstack"
	"quarantine/internal/api/wire"
)

// A user's server is deleted. Its disk is in quarantine, and it is told who had
// it, where it was, and which addresses it had, by id and by name.
func TestWhoHadTheAddress(t *testing.T) {
	s := running(t)
	alice := s.session(t, openstacklab.Alice())
	v, err := alice.Boot(t.Context(), openstacklab.ServerSpec{Name: "suspect", Metadata: map[string]string{"purpose": "test"}, Tags: []string{"blue"}})
	must(t, err)
	_, floating, err := alice.FloatingIP(t.Context(), v.ID)
	must(t, err)
	ips := v.IPs()
	s.job(t, "clouds") // takes stock: Nova forgets a floating address with the server, and no event has it
	must(t, alice.Delete(t.Context(), v.ID))
	must(t, alice.WaitGone(t.Context(), v.ID))
	id := s.captured(t, v.ID+"_disk", "delete").ID
	until(t, func() string { // the cloud's APIs tell the rest, soon after
		d := s.show(t, id).Disk
		if d.ResourceID != v.ID || d.ResourceName != "suspect" || d.ProjectID != alice.ProjectID || d.Project != "alice" || d.ProjectDomain != "research" ||
			d.User != "alice" || d.UserID != alice.UserID || d.Deleter != "alice" || d.Flavor == "" || d.Image == "" || d.Host == "" || d.Metadata["purpose"] != "test" ||
			!slices.Contains(d.Tags, "blue") || d.Role != "root" || d.Capture != "guard" || !d.Sealed {
			return "the disk is known as " + asJSON(d)
		}
		for _, ip := range append(ips, floating) {
			if !slices.ContainsFunc(s.disks(t, "--address", ip), func(f wire.Disk) bool { return f.ID == id }) {
				return fmt.Sprintf("nobody had %s; the disk has %q", ip, d.Addresses)
			}
		}
		return ""
	})
}
