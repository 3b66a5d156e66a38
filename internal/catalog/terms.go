package catalog

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strings"

	"quarantine/internal/quarantine"
)

// The kinds of what a disk is looked up by and may have several of.
const (
	termAddress = "address"
	termCase    = "case"
	termProject = "project"
	termUser    = "user"
	termVM      = "vm"
)

type term struct{ kind, value string }

// termsOf derives the rows of disk_terms, sorted, each once.
func termsOf(d *quarantine.Disk) []term {
	var all []term
	add := func(kind string, values ...string) {
		for _, v := range values {
			if v != "" {
				all = append(all, term{kind, v})
			}
		}
	}
	for _, h := range d.OpenHolds() {
		add(termCase, h.CaseID)
	}
	if del := d.Deletion; del != nil {
		add(termProject, del.Project.ID, del.Project.Name)
		add(termUser, del.User.ID, del.User.Name, del.Deleter.ID, del.Deleter.Name)
		if del.ResourceKind == quarantine.ResourceVM {
			add(termVM, del.ResourceID, del.ResourceName)
		}
		add(termVM, del.ServerID)
		for _, a := range del.Addresses {
			add(termAddress, canonicalAddress(a.IP), canonicalAddress(a.MAC))
		}
	}
	slices.SortFunc(all, func(a, b term) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.value, b.value))
	})
	return slices.Compact(all)
}

// canonicalAddress gives the many ways to write one IP or MAC address the same
// form: 2001:DB8:0::1 and 2001:db8::1, ::ffff:192.0.2.7 and 192.0.2.7,
// FA-16-3E-00-00-01 and fa:16:3e:00:00:01. What is neither is put in lower
// case.
func canonicalAddress(s string) string {
	s = strings.TrimSpace(s)
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	if mac, err := net.ParseMAC(s); err == nil {
		return mac.String()
	}
	return strings.ToLower(s)
}
