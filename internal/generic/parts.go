package generic

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"quarantine/internal/quarantine"
)

// times sets the times, which must be in order.
func (in *deletionJSON) times(d *quarantine.Deletion) (field string, err error) {
	var last time.Time
	var lastName string
	for _, f := range []struct {
		name, value string
		to          *time.Time
	}{
		{"created_at", in.CreatedAt, &d.CreatedAt},
		{"started_at", in.StartedAt, &d.StartedAt},
		{"ended_at", in.EndedAt, &d.EndedAt},
	} {
		if f.value == "" {
			continue
		}
		t, err := quarantine.ParseTime(time.RFC3339, f.value)
		if err != nil || len(f.value) > maxTime {
			return f.name, fmt.Errorf("expected a time like 2026-03-02T10:11:12Z (RFC 3339), got %q", cut(f.value))
		}
		if y := t.UTC().Year(); y < 2000 || y >= 2100 {
			return f.name, fmt.Errorf("expected a time between 2000 and 2100, got %q", cut(f.value))
		}
		if t.Before(last) {
			return f.name, fmt.Errorf("expected a time not before %s, got %q", lastName, cut(f.value))
		}
		*f.to, last, lastName = t, t, f.name
	}
	return "", nil
}

func (in *deletionJSON) addresses() (out []quarantine.Address, field string, err error) {
	if len(in.Addresses) > maxAddresses {
		return nil, "addresses", fmt.Errorf("expected at most %d, got %d", maxAddresses, len(in.Addresses))
	}
	for i, a := range in.Addresses {
		at := fmt.Sprintf("addresses[%d]", i)
		if a.IP == "" && a.MAC == "" {
			return nil, at, errors.New("expected an ip, a mac, or both")
		}
		addr := quarantine.Address{Network: a.Network}
		if a.IP != "" {
			ip, err := netip.ParseAddr(a.IP)
			if err != nil || ip.Zone() != "" {
				return nil, at + ".ip", fmt.Errorf("expected an IP address like 192.0.2.7 or 2001:db8::7, got %q", cut(a.IP))
			}
			addr.IP = ip.Unmap().String()
		}
		if a.MAC != "" {
			mac, err := net.ParseMAC(a.MAC)
			if err != nil || len(mac) != 6 {
				return nil, at + ".mac", fmt.Errorf("expected a MAC address like 02:00:00:00:00:07, got %q", cut(a.MAC))
			}
			addr.MAC = mac.String()
		}
		if err := checkText(a.Network, maxText); err != nil {
			return nil, at + ".network", err
		}
		out = append(out, addr)
	}
	return out, "", nil
}

func (in *deletionJSON) disks() (out []quarantine.DiskRef, field string, err error) {
	if len(in.Disks) == 0 {
		return nil, "disks", errors.New("expected at least one")
	}
	for i, disk := range in.Disks {
		if field, err := disk.check(); err != nil {
			return nil, fmt.Sprintf("disks[%d].%s", i, field), err
		}
		if disk.Role == "" {
			disk.Role = "disk"
		}
		out = append(out, quarantine.DiskRef(disk))
	}
	return out, "", nil
}

func (disk *diskJSON) check() (field string, err error) {
	switch {
	case disk.Name == "":
		return "name", errMissing
	case disk.Namespace != "" && disk.Pool == "":
		return "namespace", errors.New("needs a pool")
	case disk.Required && disk.Prefix:
		return "required", errors.New("needs a full name, not a prefix")
	case disk.Role != "" && !slices.Contains(roles(), disk.Role):
		return "role", oneOf(disk.Role, roles())
	}
	for _, f := range []struct{ name, value string }{{"pool", disk.Pool}, {"namespace", disk.Namespace}, {"name", disk.Name}} {
		if err := checkText(f.value, maxText); err != nil {
			return f.name, err
		}
		if strings.ContainsAny(f.value, "/@") {
			return f.name, fmt.Errorf("expected a name without / and @, got %q: pool, namespace and name are keys of their own, and there is none for a snapshot", cut(f.value))
		}
	}
	return "", nil
}

// roles are the roles of a disk.
func roles() []string {
	return []string{"root", "ephemeral", "swap", "config", "rescue", "volume", "image", "disk"}
}
