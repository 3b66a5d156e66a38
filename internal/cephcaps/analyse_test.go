package cephcaps

import (
	"strings"
	"testing"
)

// Each clause of an OSD cap is judged by whether it reaches rbd_info of pool
// vms for writing; whatever is not understood does.
func TestCanSwitchOff(t *testing.T) {
	const rbd = "profile rbd"
	for name, c := range map[string]struct {
		caps Caps
		want bool
		why  string // part of the reason
	}{
		"nothing":                       {Caps{}, false, ""},
		"everything":                    {Caps{OSD: "allow *"}, true, "allow *"},
		"rwx everywhere":                {Caps{OSD: "allow rwx"}, true, "rwx"},
		"rw everywhere":                 {Caps{OSD: "allow rw"}, true, "rw"},
		"read everywhere":               {Caps{OSD: "allow r"}, false, ""},
		"read and class-read":           {Caps{OSD: "allow r class-read pool=vms"}, false, ""},
		"class-write":                   {Caps{OSD: "allow r class-write pool=vms"}, true, "class-write"},
		"execute":                       {Caps{OSD: "allow rx pool=vms"}, true, "rx"},
		"one class's methods":           {Caps{OSD: "allow class rbd metadata_set pool=vms"}, true, "class rbd"},
		"a class in another pool":       {Caps{OSD: "allow class rbd pool=other"}, false, ""},
		"profile":                       {Caps{OSD: rbd}, true, rbd},
		"profile on the pool":           {Caps{OSD: "profile rbd pool=vms"}, true, "pool=vms"},
		"profile on the pool, spaced":   {Caps{OSD: "allow profile rbd pool vms"}, true, "pool vms"},
		"profile with equals":           {Caps{OSD: "profile=rbd pool=vms"}, true, "vms"},
		"profile on another pool":       {Caps{OSD: "profile rbd pool=images"}, false, ""},
		"profile on a namespace":        {Caps{OSD: "profile rbd pool=vms namespace=ns"}, false, ""},
		"profile on no namespace":       {Caps{OSD: `profile rbd pool=vms namespace=""`}, true, "namespace"},
		"profile on all namespaces":     {Caps{OSD: "profile rbd namespace=*"}, true, "namespace"},
		"read-only profile":             {Caps{OSD: "profile rbd-read-only"}, false, ""},
		"unknown profile":               {Caps{OSD: "profile magic pool=other"}, true, "not understood"},
		"prefix of settings":            {Caps{OSD: "allow rwx object_prefix rbd_"}, true, "rbd_"},
		"prefix of data":                {Caps{OSD: "allow rwx object_prefix rbd_data."}, false, ""},
		"prefix longer than settings":   {Caps{OSD: "allow rwx object_prefix rbd_info2"}, false, ""},
		"prefix in another pool":        {Caps{OSD: "allow rwx pool=other object_prefix rbd_info"}, false, ""},
		"match before spec":             {Caps{OSD: "allow pool vms rwx"}, true, "pool vms"},
		"match before spec, other pool": {Caps{OSD: "allow pool other rwx"}, false, ""},
		"quoted pool":                   {Caps{OSD: `allow rw pool="vms"`}, true, "vms"},
		"tag of rbd":                    {Caps{OSD: "allow rw tag rbd pool=gold"}, true, "tag"},
		"any tag":                       {Caps{OSD: "allow rw tag * *=*"}, true, "tag"},
		"tag of cephfs":                 {Caps{OSD: "allow rw tag cephfs data=fs"}, false, ""},
		"from one network":              {Caps{OSD: "allow rwx pool=vms network 192.0.2.0/24"}, true, "network"},
		"second clause":                 {Caps{OSD: "allow r, allow rw pool=vms"}, true, "allow rw pool=vms"},
		"second clause, semicolon":      {Caps{OSD: "allow r; allow rw pool=vms"}, true, "allow rw pool=vms"},
		"unknown word":                  {Caps{OSD: "allow r sometimes"}, true, "not understood"},
		"open quote":                    {Caps{OSD: `allow r pool="vms`}, true, "not understood"},
		"cut tag":                       {Caps{OSD: "allow rw tag rbd"}, true, "not understood"},
		"no verb":                       {Caps{OSD: "rwx pool=other"}, true, "not understood"},
		"pool without name":             {Caps{OSD: "allow rwx pool="}, true, "not understood"},
		"monitor profile":               {Caps{Mon: rbd, Mgr: rbd}, false, ""},
		"manager profile with pool":     {Caps{Mgr: "profile rbd pool=vms"}, false, ""},
		"monitor read":                  {Caps{Mon: "allow r"}, false, ""},
		"monitor everything":            {Caps{Mon: "allow *"}, true, "mon"},
		"monitor write":                 {Caps{Mon: "allow rw"}, true, "mon"},
		"manager everything":            {Caps{Mgr: "allow *"}, true, "mgr"},
		"monitor bootstrap profile":     {Caps{Mon: "allow profile bootstrap-osd"}, true, "mon"},
		"listing the secrets":           {AuditCaps(), true, "other keys"},
		"the caps for a cloud":          {CloudCaps([]string{"vms", "images"}), false, ""},
		"for a cloud in a namespace":    {CloudCaps([]string{"vms/ns"}), false, ""},
		"for a cloud, not guarded":      {CloudCaps(nil, "vms"), true, "profile rbd pool=vms"},
		"for a cloud, other not so":     {CloudCaps([]string{"vms"}, "scratch"), false, ""},
		"for this service":              {QuarantineCaps("vms"), true, "rbd_info"},
	} {
		t.Run(name, func(t *testing.T) {
			got, why := CanSwitchOff(c.caps, "vms")
			if got != c.want || !strings.Contains(why, c.why) || got == (why == "") {
				t.Errorf("CanSwitchOff(%+v) = %v, %q; want %v, …%q…", c.caps, got, why, c.want, c.why)
			}
		})
	}
}

// Whatever the caps are, the analysis ends, and a key that may do everything
// beside is found.
func FuzzCanSwitchOff(f *testing.F) {
	for _, s := range []string{"", "allow *", "allow rwx pool=vms object_prefix rbd_data.", "profile rbd pool=vms namespace=x",
		"allow rw tag rbd k=v", `allow class rbd "m`, "allow pool vms rwx; profile rbd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, caps string) {
		if strings.ContainsAny(caps, `"'`) {
			return // may quote what is added below
		}
		if ok, why := CanSwitchOff(Caps{OSD: caps + ", allow *"}, "vms"); !ok || why == "" {
			t.Errorf("CanSwitchOff(%q and allow *) = %v, %q", caps, ok, why)
		}
	})
}
