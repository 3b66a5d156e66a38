package quarantine_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// aReport draws one of the many partial reports of one Deletion: few values a
// field, so that reports agree, differ and lack fields.
func aReport(t *rapid.T) quarantine.Deletion {
	word := rapid.SampledFrom([]string{"", "a", "b", "c"})
	principal := func(label string) quarantine.Principal {
		return quarantine.Principal{ID: word.Draw(t, label+" id"), Name: word.Draw(t, label+" name"), Domain: word.Draw(t, label+" domain")}
	}
	when := func(label string) time.Time {
		n := rapid.IntRange(0, 3).Draw(t, label)
		if n == 0 {
			return time.Time{}
		}
		return t0.Add(time.Duration(n) * time.Second)
	}
	return quarantine.Deletion{
		ID: "one", Cloud: "os", Kind: quarantine.KindDelete, ResourceKind: quarantine.ResourceVM, ResourceID: "vm",
		ResourceName: word.Draw(t, "name"), ServerID: word.Draw(t, "server"), Host: word.Draw(t, "host"),
		Project: principal("project"), User: principal("user"), Deleter: principal("deleter"), Image: principal("image"),
		CreatedAt: when("created"), StartedAt: when("started"), EndedAt: when("ended"), ReceivedAt: when("received"),
		Metadata: rapid.MapOfN(rapid.SampledFrom([]string{"k", "l"}), word, 0, 2).Draw(t, "metadata"),
		Tags:     rapid.SliceOfN(word, 0, 3).Draw(t, "tags"),
		Addresses: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) quarantine.Address {
			return quarantine.Address{IP: word.Draw(t, "ip"), MAC: word.Draw(t, "mac"), Network: word.Draw(t, "network"), PortID: word.Draw(t, "port"), Type: word.Draw(t, "type")}
		}), 0, 2).Draw(t, "addresses"),
		KeyPair: word.Draw(t, "key pair"), RequestID: word.Draw(t, "request"), Flavor: rapid.SampledFrom([]string{"", "a", "z", uuid, "b" + uuid[1:]}).Draw(t, "flavor"), AvailabilityZone: word.Draw(t, "zone"),
		Volumes: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) quarantine.VolumeRef {
			return quarantine.VolumeRef{
				ID: rapid.SampledFrom([]string{"v", "w"}).Draw(t, "volume"), Device: word.Draw(t, "device"),
				Boot: rapid.Bool().Draw(t, "boot"), DeleteOnTermination: rapid.Bool().Draw(t, "delete on termination"),
			}
		}), 0, 3).Draw(t, "volumes"),
		Disks: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) quarantine.DiskRef {
			return quarantine.DiskRef{
				Pool: word.Draw(t, "pool"), Name: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "disk"),
				Prefix: rapid.Bool().Draw(t, "prefix"), Role: word.Draw(t, "role"), Required: rapid.Bool().Draw(t, "required"),
			}
		}), 0, 3).Draw(t, "disks"),
	}.Normalize()
}

// The order and the number of deliveries of one Deletion's reports do not
// matter.
func TestMergeIsCommutativeAssociativeIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := aReport(t), aReport(t), aReport(t)
		same := func(law string, x, y quarantine.Deletion) {
			t.Helper()
			if !x.Equal(y) {
				t.Fatalf("not %s:\n%+v\n%+v", law, x, y)
			}
		}
		same("commutative", quarantine.Merge(a, b), quarantine.Merge(b, a))
		same("associative", quarantine.Merge(quarantine.Merge(a, b), c), quarantine.Merge(a, quarantine.Merge(b, c)))
		same("idempotent", quarantine.Merge(a, a), a)
		ab := quarantine.Merge(a, b)
		same("absorbing", quarantine.Merge(ab, b), ab)
	})
}

// What one report lacks, the other gives.
func TestMergeLosesNothingThatOneReportAloneKnows(t *testing.T) {
	start := quarantine.Deletion{ID: "one", ResourceName: "web", StartedAt: t0, User: quarantine.Principal{ID: "u1"},
		Disks: []quarantine.DiskRef{{Name: "vm_disk", Required: true}}}
	end := quarantine.Deletion{ID: "one", EndedAt: t0.Add(2 * time.Second), User: quarantine.Principal{ID: "u1", Name: "ann"},
		Addresses: []quarantine.Address{{IP: "192.0.2.7"}}, Disks: []quarantine.DiskRef{{Name: "vm_disk", Role: "root"}}}
	m := quarantine.Merge(end, start)
	want := quarantine.Deletion{ID: "one", ResourceName: "web", StartedAt: t0, EndedAt: t0.Add(2 * time.Second),
		User: quarantine.Principal{ID: "u1", Name: "ann"}, Addresses: []quarantine.Address{{IP: "192.0.2.7"}},
		Disks: []quarantine.DiskRef{{Name: "vm_disk", Role: "root", Required: true}}}
	if !m.Equal(want) {
		t.Errorf("got %+v\nwant %+v", m, want)
	}
}

const uuid = "0c3e5466-4883-4102-B427-72cba4088ada"

// The id of a volume's type, which Cinder's events have, gives way to its name.
func TestMergeTakesTheTypesName(t *testing.T) {
	event, seen := whole(), whole()
	event.Flavor, seen.Flavor = uuid, "ssd"
	for _, m := range []quarantine.Deletion{quarantine.Merge(event, seen), quarantine.Merge(seen, event)} {
		if m.Flavor != "ssd" {
			t.Errorf("the type is %q", m.Flavor)
		}
	}
	for s, want := range map[string]bool{"": false, uuid: true, uuid[1:]: false, uuid + "0": false, "g" + uuid[1:]: false, strings.ReplaceAll(uuid, "-", "0"): false} {
		if quarantine.IsUUID(s) != want {
			t.Errorf("%q is a UUID: %v", s, !want)
		}
	}
}

// whole is a Deletion with every field set.
func whole() quarantine.Deletion {
	p := func(n string) quarantine.Principal {
		return quarantine.Principal{ID: n, Name: n + " name", Domain: n + " domain", Subject: "/CN=" + n}
	}
	return quarantine.Deletion{
		ID: "one", Cloud: "os", CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindDelete,
		ResourceKind: quarantine.ResourceVM, ResourceID: "vm", ResourceName: "web", ServerID: "server",
		Project: p("project"), User: p("user"), Deleter: p("deleter"), Flavor: "m1", Image: p("image"), Host: "node", AvailabilityZone: "az",
		Metadata: map[string]string{"k": "v"}, Tags: []string{"t"},
		Addresses: []quarantine.Address{{IP: "192.0.2.7", MAC: "fa:16:3e:00:00:01", Network: "net", PortID: "port", Type: "fixed"}},
		KeyPair:   "laptop", Volumes: []quarantine.VolumeRef{{ID: "v", Device: "/dev/vda", Boot: true, DeleteOnTermination: true}},
		RequestID: "req", CreatedAt: t0, StartedAt: t0.Add(1 * time.Second), EndedAt: t0.Add(2 * time.Second), ReceivedAt: t0.Add(3 * time.Second),
		Disks: []quarantine.DiskRef{{Pool: "vms", Namespace: "n", Name: "disk", Prefix: true, Role: "root", Required: true}},
	}
}

// blank calls each with the name of every field of a struct, and of what the
// field holds, while that field alone is blank.
func blank(v reflect.Value, name string, each func(name string)) {
	for i := range v.NumField() {
		f, name := v.Field(i), name+"."+v.Type().Field(i).Name
		old := reflect.ValueOf(f.Interface())
		f.SetZero()
		each(name)
		f.Set(old)
		if f.Kind() == reflect.Slice {
			f = f.Index(0)
		}
		if f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[time.Time]() {
			blank(f, name, each)
		}
	}
}

// No field is left out, now or when one is added: two Deletions that differ in
// one are not equal, what one report lacks in it the other gives, and JSON
// keeps it under a name of its own.
func TestEveryFieldOfADeletionCounts(t *testing.T) {
	// By these a thing is known: without one it is another thing, which Merge
	// puts beside the first, or which gives way to it.
	keys := []string{".ID", ".Addresses.IP", ".Addresses.MAC", ".Volumes.ID", ".Disks.Pool", ".Disks.Namespace", ".Disks.Name", ".Disks.Prefix"}
	names := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	d, fields := whole(), 0
	blank(reflect.ValueOf(&d).Elem(), "", func(name string) {
		fields++
		lacking := copied(t, d)
		if lacking.Equal(whole()) || whole().Equal(lacking) {
			t.Errorf("Equal does not look at %s, or it is not in JSON", name)
		}
		if slices.Contains(keys, name) {
			return
		}
		for _, m := range []quarantine.Deletion{quarantine.Merge(lacking, whole()), quarantine.Merge(whole(), lacking)} {
			if !m.Equal(whole()) {
				t.Errorf("Merge loses %s: %+v", name, m)
			}
		}
	})
	if fields < 50 {
		t.Errorf("%d fields were looked at", fields)
	}
	if back := copied(t, whole()); !back.Equal(whole()) {
		t.Errorf("came back as %+v", back)
	}
	b, err := json.Marshal(whole())
	if err != nil {
		t.Fatal(err)
	}
	var said map[string]any
	if err := json.Unmarshal(b, &said); err != nil {
		t.Fatal(err)
	}
	for name := range said {
		if !names.MatchString(name) {
			t.Errorf("%s is no snake_case name", name)
		}
	}
}

// copied is the Deletion as it comes back from JSON.
func copied(t *testing.T, d quarantine.Deletion) quarantine.Deletion {
	t.Helper()
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back quarantine.Deletion
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

// A volume that two reports name is one volume, with what either says of it.
func TestMergeJoinsVolumesAndAddresses(t *testing.T) {
	a := quarantine.Deletion{
		Volumes:   []quarantine.VolumeRef{{ID: "w", Boot: true}, {ID: "v", Device: "/dev/vdb"}},
		Addresses: []quarantine.Address{{IP: "192.0.2.7", MAC: "m", Type: "fixed"}}}
	b := quarantine.Deletion{
		Volumes:   []quarantine.VolumeRef{{ID: "w", Device: "/dev/vda", DeleteOnTermination: true}, {ID: "u"}},
		Addresses: []quarantine.Address{{IP: "192.0.2.7", MAC: "m", Network: "net"}, {IP: "203.0.113.9", Type: "floating"}}}
	want := quarantine.Deletion{
		Volumes:   []quarantine.VolumeRef{{ID: "u"}, {ID: "v", Device: "/dev/vdb"}, {ID: "w", Device: "/dev/vda", Boot: true, DeleteOnTermination: true}},
		Addresses: []quarantine.Address{{IP: "192.0.2.7", MAC: "m", Network: "net", Type: "fixed"}, {IP: "203.0.113.9", Type: "floating"}}}
	if got := quarantine.Merge(a, b); !got.Equal(want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A name of one user never appears beside the id of another.
func TestMergeNeverMixesTwoPeople(t *testing.T) {
	ann, bob := quarantine.Principal{ID: "1", Name: "zoe"}, quarantine.Principal{ID: "2", Name: "bob"}
	m := quarantine.Merge(quarantine.Deletion{User: bob}, quarantine.Deletion{User: ann})
	if m.User != ann {
		t.Errorf("user is %+v", m.User)
	}
}
