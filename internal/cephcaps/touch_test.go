package cephcaps

import (
	"slices"
	"strings"
	"testing"
)

// The evidence pool is out of reach for a cloud with the caps that this package
// writes, and for keys of other pools and namespaces; whatever is wider, or not
// understood, is within it.
func TestCanTouch(t *testing.T) {
	for name, c := range map[string]struct {
		caps Caps
		pool string
		want bool
	}{
		"nothing":                         {Caps{}, "ev", false},
		"a cloud":                         {CloudCaps([]string{"vms"}, "images"), "ev", false},
		"a cloud with all pools":          {Caps{Mon: "profile rbd", OSD: "profile rbd"}, "ev", true},
		"a reader":                        {Caps{OSD: "profile rbd-read-only"}, "ev", true},
		"a reader of the pool":            {Caps{OSD: "allow r pool=ev"}, "ev", true},
		"a reader of one kind of objects": {Caps{OSD: "allow r object_prefix rbd_data."}, "ev", true},
		"everything":                      {Caps{OSD: "allow *"}, "ev", true},
		"by tag":                          {Caps{OSD: "allow rw tag rbd *=*"}, "ev", true},
		"of cephfs":                       {Caps{OSD: "allow rw tag cephfs data=fs"}, "ev", false},
		"in another namespace":            {Caps{OSD: "profile rbd pool=ev namespace=a"}, "ev/q", false},
		"in no namespace":                 {Caps{OSD: `profile rbd pool=ev namespace=""`}, "ev/q", false},
		"in the namespace":                {Caps{OSD: "profile rbd pool=ev namespace=q"}, "ev/q", true},
		"in namespaces like it":           {Caps{OSD: "profile rbd pool=ev namespace=q*"}, "ev/q1", true},
		"in all namespaces":               {Caps{OSD: "profile rbd pool=ev"}, "ev/q", true},
		"a namespace, the pool asked for": {Caps{OSD: "profile rbd pool=ev namespace=q"}, "ev", false},
		"not understood":                  {Caps{OSD: "allow magic pool=vms"}, "ev", true},
		"may change caps":                 {Caps{Mon: "allow *"}, "ev", true},
		"this service":                    {QuarantineCaps("vms", "ev"), "ev", true},
	} {
		if got, why := CanTouch(c.caps, c.pool); got != c.want || got == (why == "") {
			t.Errorf("%s: %v, %q; want %v", name, got, why, c.want)
		}
	}
	keys := []Key{
		{Entity: "client.admin", Caps: Caps{Mon: "allow *", OSD: "allow *"}},
		{Entity: "client.quarantine", Caps: QuarantineCaps("vms", "ev")},
		{Entity: "client.cloud", Caps: CloudCaps([]string{"vms"})},
		{Entity: "client.wide", Caps: Caps{Mon: "profile rbd", OSD: "profile rbd"}},
		{Entity: "osd.0", Caps: Caps{OSD: "allow *"}},
	}
	got := Touching(keys, "ev", "client.quarantine")
	if len(got) != 1 || !slices.Equal(got[0].Entities, []string{"client.wide"}) || !strings.Contains(got[0].Problem, "profile rbd") {
		t.Errorf("%+v", got)
	}
}
