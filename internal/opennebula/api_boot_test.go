package opennebula_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// bootTrial has two volumes.
func bootTrial(t *testing.T) (*fakeOne, quarantine.ServerOrder) {
	t.Helper()
	f := newFakeOne(t)
	for _, id := range []int{7, 8} {
		f.images[id] = &oneImage{id: id, uid: 2, gid: 100, name: fmt.Sprintf("v%d", id), persistent: true, state: 1, before: 1, source: fmt.Sprintf("one/restored-%d", id)}
	}
	f.images[9] = &oneImage{id: 9, uid: 2, name: "base", state: 1, source: "one/one-9"}
	f.vms[3], f.next["vm"] = foreignVM(), 20
	return f, quarantine.ServerOrder{Name: "web", Owner: "alice", Root: "8", Data: []string{"7"}, Defanged: true, Metadata: map[string]string{"quarantine_disk": "d1"}}
}

// foreignVM is somebody's, which the service must not touch.
func foreignVM() *oneVM { return &oneVM{id: 3, uid: 3, gid: 1, name: "theirs", state: 3, lcm: 3} }

// alive is how many VMs are not DONE beside the foreign one.
func (f *fakeOne) alive(t testing.TB) int {
	t.Helper()
	if v, _ := f.lookVM("3"); !reflect.DeepEqual(&v, foreignVM()) {
		t.Errorf("somebody's VM is %+v now", v)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := -1
	for _, v := range f.vms {
		if v.state != 6 {
			n++
		}
	}
	return n
}

// free fails unless no VM is there and both volumes can be used.
func (f *fakeOne) free(t testing.TB) {
	t.Helper()
	if n := f.alive(t); n > 0 {
		t.Errorf("%d VMs are left", n)
	}
	for _, id := range []string{"7", "8"} {
		if i, ok := f.lookImage(id); !ok || i.state != 1 || len(i.vms) > 0 {
			t.Errorf("volume %s is %+v, there: %v", id, i, ok)
		}
	}
}

// A defanged VM has the volumes, the first of which boots, a console on the host
// only, and nothing else: neither network nor context. It has its owner before
// it runs.
func TestBootServer(t *testing.T) {
	t.Parallel()
	f, o := bootTrial(t)
	m, err := f.api(t, nil).BootServer(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	v, ok := f.lookVM(m.ID)
	if !ok || v.state != 3 || v.lcm != 3 || v.uid != 2 || v.gid != 100 || v.name != "web" || !slices.Equal(v.disks, []int{8, 7}) {
		t.Errorf("the VM is %+v", v)
	}
	if m.Kind != quarantine.ResourceVM || m.Name != "web" || m.Project != (quarantine.Principal{ID: "100", Name: "experiment"}) {
		t.Errorf("made %+v", m)
	}
	const want = "<CPU><![CDATA[1]]></CPU><GRAPHICS><LISTEN><![CDATA[127.0.0.1]]></LISTEN><TYPE><![CDATA[VNC]]></TYPE></GRAPHICS><MEMORY><![CDATA[1024]]></MEMORY><OS><BOOT><![CDATA[disk0]]></BOOT></OS><SUBMIT_ON_HOLD><![CDATA[YES]]></SUBMIT_ON_HOLD><VCPU><![CDATA[1]]></VCPU>"
	if got := attrsDoc(v.attrs); got != want {
		t.Errorf("the VM has\n%s\nnot\n%s", got, want)
	}
	if got := strings.Join(f.methods(), " "); !strings.Contains(got, "vm.allocate vm.info vm.chown vm.info vm.action") {
		t.Errorf("the order of calls is %s", got)
	}
	if err := f.api(t, nil).Discard(t.Context(), m); err != nil {
		t.Error(err)
	}
	f.free(t)
}

// With a network it has an interface and the context that tells its address; a
// VM template gives the size, and nothing else.
func TestBootServerWithNetwork(t *testing.T) {
	t.Parallel()
	for network, id := range map[string]string{"private": "1", "0": "0"} {
		for _, flavor := range []string{"small", "4"} {
			f, o := bootTrial(t)
			o.Network, o.Flavor, o.Defanged = network, flavor, false
			m, err := f.api(t, nil).BootServer(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			v, _ := f.lookVM(m.ID)
			want := "<CONTEXT><NETWORK><![CDATA[YES]]></NETWORK></CONTEXT><CPU><![CDATA[0.5]]></CPU><GRAPHICS><LISTEN><![CDATA[127.0.0.1]]></LISTEN><TYPE><![CDATA[VNC]]></TYPE></GRAPHICS><MEMORY><![CDATA[256]]></MEMORY>" +
				"<NIC><NETWORK_ID><![CDATA[" + id + "]]></NETWORK_ID></NIC><OS><BOOT><![CDATA[disk0]]></BOOT></OS><SUBMIT_ON_HOLD><![CDATA[YES]]></SUBMIT_ON_HOLD><VCPU><![CDATA[2]]></VCPU>"
			if got := attrsDoc(v.attrs); got != want {
				t.Errorf("the VM has\n%s\nnot\n%s", got, want)
			}
		}
	}
}

// What cannot be right makes no VM.
func TestBootServerInvalid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*quarantine.ServerOrder)
		want   error
	}{
		"no name":              {func(o *quarantine.ServerOrder) { o.Name = "\x00" }, quarantine.ErrInvalid},
		"defanged and network": {func(o *quarantine.ServerOrder) { o.Network = "public" }, quarantine.ErrInvalid},
		"no root":              {func(o *quarantine.ServerOrder) { o.Root = "" }, quarantine.ErrInvalid},
		"hostile root":         {func(o *quarantine.ServerOrder) { o.Root = "8</IMAGE_ID>" }, quarantine.ErrInvalid},
		"twice":                {func(o *quarantine.ServerOrder) { o.Data = []string{"8"} }, quarantine.ErrInvalid},
		"no such image":        {func(o *quarantine.ServerOrder) { o.Data = []string{"77"} }, quarantine.ErrNotFound},
		"not persistent":       {func(o *quarantine.ServerOrder) { o.Root = "9" }, quarantine.ErrInvalid},
		"domain":               {func(o *quarantine.ServerOrder) { o.Domain = "x" }, quarantine.ErrInvalid},
		"no such network":      {func(o *quarantine.ServerOrder) { o.Defanged, o.Network = false, "x" }, quarantine.ErrNotFound},
		"two networks":         {func(o *quarantine.ServerOrder) { o.Defanged, o.Network = false, "twice" }, quarantine.ErrInvalid},
		"no such flavor":       {func(o *quarantine.ServerOrder) { o.Flavor = "x" }, quarantine.ErrNotFound},
		"flavor without size":  {func(o *quarantine.ServerOrder) { o.Flavor = "empty" }, quarantine.ErrInvalid},
		"metadata":             {func(o *quarantine.ServerOrder) { o.Metadata = map[string]string{"sched_requirements": "x"} }, quarantine.ErrInvalid},
	} {
		f, o := bootTrial(t)
		c.change(&o)
		if _, err := f.api(t, nil).BootServer(t.Context(), o); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if calls := f.called("one.vm.allocate"); len(calls) > 0 {
			t.Errorf("%s: %v", name, calls)
		}
		f.free(t)
	}
	f, o := bootTrial(t)
	f.images[8].state = 8
	if _, err := f.api(t, nil).BootServer(t.Context(), o); !errors.Is(err, quarantine.ErrBusy) {
		t.Errorf("a volume that is in use: %v", err)
	}
}

// A VM that does not come to run goes, with the reason told, and its volumes can
// be used again, also those that oned has put in doubt.
func TestBootServerFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path [][2]int
		want error
		text string
	}{
		"no host":             {[][2]int{{1, 0}}, quarantine.ErrUnavailable, "state 1/0"},
		"prolog failure":      {[][2]int{{1, 0}, {3, 1}, {3, 39}}, quarantine.ErrInvalid, "state 3/39"},
		"boot failure":        {[][2]int{{1, 0}, {3, 1}, {3, 2}, {3, 36}}, quarantine.ErrInvalid, "state 3/36"},
		"boots for ever":      {[][2]int{{1, 0}, {3, 1}, {3, 2}}, quarantine.ErrUnavailable, "state 3/2"},
		"terminated meantime": {[][2]int{{1, 0}, {3, 1}, {6, 0}}, quarantine.ErrInvalid, "state 6/0"},
	} {
		f, o := bootTrial(t)
		f.path = c.path
		wait := time.Minute // an end is seen, however slow the machine is
		if c.want == quarantine.ErrUnavailable {
			wait = 2 * time.Second
		}
		a := f.api(t, func(c *opennebula.APIConfig) { c.Wait = wait })
		_, err := a.BootServer(t.Context(), o)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
		f.free(t)
	}
}

// A site that gives every VM a network or a context cannot have defanged ones:
// such a VM never runs.
func TestBootServerDefangedNot(t *testing.T) {
	t.Parallel()
	for _, more := range []attr{
		{name: "CONTEXT", sub: []attr{{name: "SSH_PUBLIC_KEY", value: "x"}}},
		{name: "NIC", sub: []attr{{name: "NETWORK_ID", value: "0"}}},
	} {
		f, o := bootTrial(t)
		f.more = []attr{more}
		if _, err := f.api(t, nil).BootServer(t.Context(), o); !errors.Is(err, quarantine.ErrRefused) {
			t.Errorf("%s: %v", more.name, err)
		}
		if calls := f.called("one.vm.action"); slices.ContainsFunc(calls, func(c string) bool { return strings.Contains(c, "release") }) {
			t.Errorf("%s: it was released: %v", more.name, calls)
		}
		f.free(t)
	}
}

// Whatever one call does, there is a VM that runs, or none, and the volumes are
// there.
func TestBootServerFaultWalk(t *testing.T) {
	t.Parallel()
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for at := 1; ; at++ {
				f, o := bootTrial(t)
				ctx, cancel := context.WithCancel(t.Context())
				count := 0
				f.fault = func(oneCall) oneFault {
					if count++; count != at {
						return oneFault{}
					}
					return fault(cancel)
				}
				m, err := f.api(t, nil).BootServer(ctx, o)
				cancel()
				clean(t, err)
				if v, ok := f.lookVM(m.ID); err == nil && (!ok || v.lcm != 3 || v.uid != 2 || f.alive(t) != 1) {
					t.Errorf("at call %d: the VM is %+v", at, v)
				}
				if err != nil {
					f.free(t)
				}
				f.mu.Lock()
				reached := count >= at
				f.mu.Unlock()
				if t.Failed() {
					t.Fatalf("at call %d: %v\n%s", at, err, strings.Join(f.called(""), "\n"))
				}
				if !reached {
					if at < 8 {
						t.Fatalf("there were %d calls only", count)
					}
					break
				}
			}
		})
	}
}

// Discard deletes what was made, and leaves what is somebody else's, in use or
// locked.
func TestDiscard(t *testing.T) {
	t.Parallel()
	image := quarantine.Made{Kind: quarantine.ResourceImage, ID: "8", Name: "v8"}
	for name, c := range map[string]struct {
		made quarantine.Made
		set  func(f *fakeOne)
		want error
		left bool
	}{
		"image":             {image, nil, nil, false},
		"image in ERROR":    {image, func(f *fakeOne) { f.images[8].state = 5 }, nil, false},
		"gone":              {quarantine.Made{Kind: quarantine.ResourceImage, ID: "77"}, nil, nil, true},
		"VM gone":           {quarantine.Made{Kind: quarantine.ResourceVM, ID: "77"}, nil, nil, true},
		"being deleted":     {image, func(f *fakeOne) { f.images[8].state, f.images[8].steps = 7, 2 }, nil, false},
		"another's name":    {quarantine.Made{Kind: quarantine.ResourceImage, ID: "8", Name: "x"}, nil, quarantine.ErrRefused, true},
		"used":              {image, func(f *fakeOne) { f.images[8].state = 8 }, quarantine.ErrBusy, true},
		"locked":            {image, func(f *fakeOne) { f.images[8].locked = true }, quarantine.ErrBusy, true},
		"the driver fails":  {image, func(f *fakeOne) { f.driverFails = true }, quarantine.ErrBusy, true},
		"no number":         {quarantine.Made{Kind: quarantine.ResourceImage, ID: "8x"}, nil, quarantine.ErrInvalid, true},
		"a volume, no kind": {quarantine.Made{Kind: quarantine.ResourceVolume, ID: "8"}, nil, quarantine.ErrInvalid, true},
		"not oneadmin":      {image, func(f *fakeOne) { f.fault = refusing("one.image.delete") }, quarantine.ErrRefused, true},
	} {
		f, _ := bootTrial(t)
		key := f.disk(t, "restored-8", []byte("x"))
		if c.set != nil {
			c.set(f)
		}
		a := f.api(t, nil)
		if err := a.Discard(t.Context(), c.made); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, ok := f.lookImage("8"); ok != c.left {
			t.Errorf("%s: the image is there: %v", name, ok)
		}
		if st, _ := f.ceph.Look(key); st.InTrash == c.left {
			t.Errorf("%s: the RBD image is %+v", name, st)
		}
	}
}

func refusing(method string) func(oneCall) oneFault {
	return func(c oneCall) oneFault {
		if c.method == method {
			return oneFault{code: 512, text: "Not authorized"}
		}
		return oneFault{}
	}
}

// A VM that cannot be terminated at first, because it is on its way, is
// terminated when it can be; one that is another's is not.
func TestDiscardVM(t *testing.T) {
	t.Parallel()
	f, o := bootTrial(t)
	m, err := f.api(t, nil).BootServer(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	other := m
	other.Name = "x"
	if err := f.api(t, nil).Discard(t.Context(), other); !errors.Is(err, quarantine.ErrRefused) {
		t.Errorf("another's: %v", err)
	}
	f.mu.Lock()
	f.vms[20].lcm, f.vms[20].rest = 24, [][2]int{{3, 24}, {3, 24}, {3, 3}} // HOTPLUG_SNAPSHOT
	f.mu.Unlock()
	for range 2 { // the second finds it DONE
		if err := f.api(t, nil).Discard(t.Context(), m); err != nil {
			t.Error(err)
		}
		f.free(t)
	}
}
