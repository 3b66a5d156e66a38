package quarantine

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Merge joins two reports of one Deletion. It is commutative, associative and
// idempotent, so that the order and the number of deliveries do not matter:
// what one report lacks the other gives; where both speak and differ, the
// earlier StartedAt, the later EndedAt and the smaller string win.
func Merge(a, b Deletion) Deletion {
	m := a
	m.Cloud = mergeString(a.Cloud, b.Cloud)
	m.CloudType = mergeString(a.CloudType, b.CloudType)
	m.Kind = Kind(mergeString(string(a.Kind), string(b.Kind)))
	m.ResourceKind = ResourceKind(mergeString(string(a.ResourceKind), string(b.ResourceKind)))
	m.ResourceID = mergeString(a.ResourceID, b.ResourceID)
	m.ResourceName = mergeString(a.ResourceName, b.ResourceName)
	m.ServerID = mergeString(a.ServerID, b.ServerID)
	m.Project = mergePrincipal(a.Project, b.Project)
	m.User = mergePrincipal(a.User, b.User)
	m.Deleter = mergePrincipal(a.Deleter, b.Deleter)
	m.Flavor = mergeNames(a.Flavor, b.Flavor)
	m.Image = mergePrincipal(a.Image, b.Image)
	m.Host = mergeString(a.Host, b.Host)
	m.AvailabilityZone = mergeString(a.AvailabilityZone, b.AvailabilityZone)
	m.KeyPair = mergeString(a.KeyPair, b.KeyPair)
	m.RequestID = mergeString(a.RequestID, b.RequestID)
	m.CreatedAt = earlier(a.CreatedAt, b.CreatedAt)
	m.StartedAt = earlier(a.StartedAt, b.StartedAt)
	m.ReceivedAt = earlier(a.ReceivedAt, b.ReceivedAt)
	m.EndedAt = a.EndedAt
	if b.EndedAt.After(m.EndedAt) {
		m.EndedAt = b.EndedAt
	}
	m.Metadata = mergeMaps(a.Metadata, b.Metadata)
	m.Tags = union(a.Tags, b.Tags, strings.Compare)
	m.Addresses = mergeAddresses(a.Addresses, b.Addresses)
	m.Volumes = mergeVolumes(a.Volumes, b.Volumes)
	m.Disks = mergeRefs(a.Disks, b.Disks)
	return m
}

// Equal reports whether two Deletions say the same.
func (d Deletion) Equal(o Deletion) bool {
	a, b := d, o
	if !maps.Equal(a.Metadata, b.Metadata) || !slices.Equal(a.Tags, b.Tags) ||
		!slices.Equal(a.Addresses, b.Addresses) || !slices.Equal(a.Volumes, b.Volumes) || !slices.Equal(a.Disks, b.Disks) {
		return false
	}
	if !a.CreatedAt.Equal(b.CreatedAt) || !a.StartedAt.Equal(b.StartedAt) ||
		!a.EndedAt.Equal(b.EndedAt) || !a.ReceivedAt.Equal(b.ReceivedAt) {
		return false
	}
	return a.ID == b.ID && a.Cloud == b.Cloud && a.CloudType == b.CloudType && a.Kind == b.Kind &&
		a.ResourceKind == b.ResourceKind && a.ResourceID == b.ResourceID && a.ResourceName == b.ResourceName &&
		a.ServerID == b.ServerID && a.Project == b.Project && a.User == b.User && a.Deleter == b.Deleter &&
		a.Flavor == b.Flavor && a.Image == b.Image && a.Host == b.Host &&
		a.AvailabilityZone == b.AvailabilityZone && a.KeyPair == b.KeyPair && a.RequestID == b.RequestID
}

func mergeString(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return min(a, b)
}

// mergeNames is mergeString, but an id gives way to a name: Cinder's events call
// a volume's type by its id, its API by its name.
func mergeNames(a, b string) string {
	switch {
	case a == "" || b != "" && IsUUID(a) && !IsUUID(b):
		return b
	case b == "" || IsUUID(b) && !IsUUID(a):
		return a
	}
	return min(a, b)
}

// IsUUID reports whether s is written as a UUID (RFC 9562), in either case.
func IsUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
		default:
			return false
		}
	}
	return true
}

// mergePrincipal joins the names of one id, and of two ids takes the smaller
// with its own names: a name of one user must never appear beside the id or the
// domain of another. A name without an id gives way to any id, because nothing
// says that it is the same user's; it would also make the result depend on the
// order. So does a domain without a name.
func mergePrincipal(a, b Principal) Principal {
	switch {
	case a.ID == "" && b.ID == "" && a.Name != b.Name:
		if b.Name == "" || a.Name != "" && a.Name < b.Name {
			return a
		}
		return b
	case a.ID == b.ID:
		return Principal{ID: a.ID, Name: mergeString(a.Name, b.Name), Domain: mergeString(a.Domain, b.Domain), Subject: mergeString(a.Subject, b.Subject)}
	case a.ID == "" || b.ID != "" && b.ID < a.ID:
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func mergeMaps(a, b map[string]string) map[string]string {
	if len(a) == 0 && len(b) == 0 {
		return nil
	}
	m := make(map[string]string, len(a)+len(b))
	maps.Copy(m, a)
	for k, v := range b {
		if old, ok := m[k]; ok {
			v = mergeString(old, v)
		}
		m[k] = v
	}
	return m
}

func union[T comparable](a, b []T, compare func(T, T) int) []T {
	if len(a) == 0 && len(b) == 0 {
		return nil
	}
	all := slices.Concat(a, b)
	slices.SortFunc(all, compare)
	return slices.Compact(all)
}

// mergeAddresses unites by IP and MAC: one report of an address may say what
// another leaves out.
func mergeAddresses(a, b []Address) []Address {
	type key struct{ ip, mac string }
	return mergeBy(a, b, func(x Address) key { return key{x.IP, x.MAC} },
		func(x, y Address) Address {
			x.Network = mergeString(x.Network, y.Network)
			x.PortID = mergeString(x.PortID, y.PortID)
			x.Type = mergeString(x.Type, y.Type)
			return x
		},
		func(x, y Address) int { return cmp.Or(strings.Compare(x.IP, y.IP), strings.Compare(x.MAC, y.MAC)) })
}

// mergeVolumes unites by id. What any report says of a volume holds.
func mergeVolumes(a, b []VolumeRef) []VolumeRef {
	return mergeBy(a, b, func(x VolumeRef) string { return x.ID },
		func(x, y VolumeRef) VolumeRef {
			x.Device = mergeString(x.Device, y.Device)
			x.Boot = x.Boot || y.Boot
			x.DeleteOnTermination = x.DeleteOnTermination || y.DeleteOnTermination
			return x
		},
		func(x, y VolumeRef) int { return strings.Compare(x.ID, y.ID) })
}

// mergeBy unites two lists: elements of one key are merged, and the result is
// in order.
func mergeBy[T any, K comparable](a, b []T, key func(T) K, merge func(x, y T) T, compare func(x, y T) int) []T {
	if len(a) == 0 && len(b) == 0 {
		return nil
	}
	byKey := map[K]T{}
	for _, x := range slices.Concat(a, b) {
		k := key(x)
		if old, ok := byKey[k]; ok {
			x = merge(old, x)
		}
		byKey[k] = x
	}
	return slices.SortedFunc(maps.Values(byKey), compare)
}

// mergeRefs unites by (pool, namespace, name, prefix). A disk that any report
// requires is required.
func mergeRefs(a, b []DiskRef) []DiskRef {
	type key struct {
		pool, namespace, name string
		prefix                bool
	}
	return mergeBy(a, b, func(x DiskRef) key { return key{x.Pool, x.Namespace, x.Name, x.Prefix} },
		func(x, y DiskRef) DiskRef {
			x.Role = mergeString(x.Role, y.Role)
			x.Required = x.Required || y.Required
			return x
		},
		func(x, y DiskRef) int {
			return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.Pool, y.Pool),
				strings.Compare(x.Namespace, y.Namespace), compareBool(x.Prefix, y.Prefix))
		})
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
