package opennebula_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"quarantine/internal/quarantine"
)

// A disk becomes a persistent image of its owner: the record first, then the RBD
// image's name, then the owner.
func TestAdoptVolume(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	o := tr.order()
	o.SizeBytes = 5<<20 + 1
	const hostile = "</QUARANTINE_NOTE><SOURCE>one/one-1</SOURCE>&lt;\"\\\n$PATH"
	o.Metadata["quarantine_note"] = hostile
	m, err := tr.api().AdoptVolume(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	tr.given(m)
	i, _ := tr.f.lookImage(m.ID)
	if m.Kind != quarantine.ResourceImage || m.Name != "web" || m.Project != (quarantine.Principal{ID: "100", Name: "experiment"}) || m.Transfer != nil {
		t.Errorf("made %+v", m)
	}
	if i.uid != 2 || i.gid != 100 || i.kind != 0 || i.size != 6 || i.attr("QUARANTINE_DISK") != "d1" || i.attr("QUARANTINE_NOTE") != hostile {
		t.Errorf("the image is %+v", i)
	}
	if got, want := strings.Join(tr.f.methods(), " "), "datastorepool.info userpool.info imagepool.info image.allocate image.info image.chown image.rename image.info"; got != want {
		t.Errorf("the calls are\n%s\nnot\n%s", got, want)
	}
}

// Whom it is given to, by names and by ids; a disk that does not boot is a
// DATABLOCK.
func TestAdoptVolumeOwner(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		project, owner string
		uid, gid       int
	}{
		"nobody":         {"", "", 0, 0},
		"user":           {"", "bob", 3, 100},
		"group":          {"users", "", 0, 1},
		"user and group": {"users", "alice", 2, 1},
		"ids":            {"1", "2", 2, 1},
	} {
		tr := newTrial(t)
		o := tr.order()
		o.Project, o.Owner, o.Bootable, o.Type = c.project, c.owner, false, "100"
		m, err := tr.api().AdoptVolume(t.Context(), o)
		i, _ := tr.f.lookImage(m.ID)
		if err != nil || i.uid != c.uid || i.gid != c.gid || i.kind != 2 || m.Project.Name != oneGroups[c.gid] {
			t.Errorf("%s: made %+v, which is %+v: %v", name, m, i, err)
		}
	}
}

// What cannot be right is refused before the cloud has anything.
func TestAdoptVolumeInvalid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*quarantine.VolumeOrder)
		want   error
	}{
		"no source":          {func(o *quarantine.VolumeOrder) { o.Source = "" }, quarantine.ErrInvalid},
		"foreign source":     {func(o *quarantine.VolumeOrder) { o.Source = "one-5" }, quarantine.ErrInvalid},
		"hostile source":     {func(o *quarantine.VolumeOrder) { o.Source = quarantine.RestorePrefix + "x;rbd rm" }, quarantine.ErrInvalid},
		"source with a dash": {func(o *quarantine.VolumeOrder) { o.Source = quarantine.RestorePrefix + "one-5-1-0" }, quarantine.ErrInvalid},
		"no size":            {func(o *quarantine.VolumeOrder) { o.SizeBytes = 0 }, quarantine.ErrInvalid},
		"domain":             {func(o *quarantine.VolumeOrder) { o.Domain = "d" }, quarantine.ErrInvalid},
		"no such datastore":  {func(o *quarantine.VolumeOrder) { o.Type = "x" }, quarantine.ErrNotFound},
		"system datastore":   {func(o *quarantine.VolumeOrder) { o.Type = "101" }, quarantine.ErrNotFound},
		"no such user":       {func(o *quarantine.VolumeOrder) { o.Owner = "mallory" }, quarantine.ErrNotFound},
		"no such user id":    {func(o *quarantine.VolumeOrder) { o.Owner = "77" }, quarantine.ErrNotFound},
		"no such group":      {func(o *quarantine.VolumeOrder) { o.Project = "x" }, quarantine.ErrNotFound},
		"metadata PATH":      {func(o *quarantine.VolumeOrder) { o.Metadata = map[string]string{"path": "/etc/passwd"} }, quarantine.ErrInvalid},
		"metadata <>":        {func(o *quarantine.VolumeOrder) { o.Metadata = map[string]string{"quarantine_<": "x"} }, quarantine.ErrInvalid},
	} {
		tr := newTrial(t)
		o := tr.order()
		c.change(&o)
		if _, err := tr.api().AdoptVolume(t.Context(), o); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if calls := tr.f.called("one.image.allocate"); len(calls) > 0 {
			t.Errorf("%s: %v", name, calls)
		}
		tr.untouched()
	}
}

// A name that the owner has already gets a number, whatever else is in it; no
// name is a reason to fail, or to change anything but the name.
func TestAdoptVolumeNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 100)
	for name, want := range map[string]string{
		"web":                                 "web (2)",
		"  a\tb\n":                            "a b",
		"</NAME><SOURCE>one/one-1</SOURCE>":   "__NAME__SOURCE_one_one-1__SOURCE_",
		`"]]><PERSISTENT>NO</PERSISTENT>\&$,`: "_]]__PERSISTENT_NO__PERSISTENT_____",
		"\x00\x1b[31m":                        "[31m",
		"\xff":                                "_",
		"":                                    "(0123456789abcdef.5d1e)",
		long:                                  strings.Repeat("ä", 64),
	} {
		tr := newTrial(t)
		tr.f.images[4] = &oneImage{id: 4, uid: 2, name: "web", state: 1, source: "one/one-4"}
		o := tr.order()
		o.Name = name
		m, err := tr.api().AdoptVolume(t.Context(), o)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		i, _ := tr.f.lookImage(m.ID)
		if m.Name != want || i.name != want || i.source != onePool+"/"+finalName || !i.persistent || len(m.Name) > 128 || !utf8.ValidString(m.Name) {
			t.Errorf("%q is called %q, not %q: %+v", name, m.Name, want, i)
		}
	}
	// All that could be tried is taken: the image keeps the name that it has.
	tr := newTrial(t)
	tr.f.fault = func(c oneCall) oneFault {
		if c.method == "one.image.rename" {
			return oneFault{code: 2048, text: "IMAGE cannot be renamed because it collides with IMAGE 4"}
		}
		return oneFault{}
	}
	m, err := tr.api().AdoptVolume(t.Context(), tr.order())
	if err != nil || m.Name != finalName {
		t.Errorf("made %+v: %v", m, err)
	}
	tr.given(m)
}

// An RBD image that another record has already is not given away twice.
func TestAdoptVolumeTwice(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	m, err := tr.api().AdoptVolume(t.Context(), tr.order())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.api().AdoptVolume(t.Context(), tr.order()); !errors.Is(err, quarantine.ErrExists) {
		t.Errorf("the second time: %v", err)
	}
	tr.given(m)
}

// One answer to allocate that is lost is found out, by what the record says.
func TestAdoptVolumeAllocateLost(t *testing.T) {
	t.Parallel()
	lost := func(f oneFault, blind bool) (*trial, quarantine.Made, error) {
		tr := newTrial(t)
		asked := false
		tr.f.fault = func(c oneCall) oneFault {
			switch {
			case c.method == "one.image.allocate":
				asked = true
				return f
			case c.method == "one.imagepool.info" && asked:
				return oneFault{cut: blind}
			}
			return oneFault{}
		}
		m, err := tr.api().AdoptVolume(t.Context(), tr.order())
		return tr, m, err
	}
	tr, m, err := lost(oneFault{lose: true}, false)
	if err != nil {
		t.Errorf("made, and the answer lost: %v", err)
	}
	tr.given(m)
	tr, _, err = lost(oneFault{cut: true}, false)
	if !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("not made: %v", err)
	}
	tr.untouched()
	tr, _, err = lost(oneFault{lose: true}, true)
	if !errors.Is(err, quarantine.ErrUnavailable) || !strings.Contains(err.Error(), "could not be found out") || !strings.Contains(err.Error(), onePool+"/"+finalName) {
		t.Errorf("made, and it cannot be found out: %v", err)
	}
	if name, ids := tr.rbd(), tr.left(); name != sourceName || len(ids) != 1 {
		t.Errorf("the disk is called %s; images %v", name, ids)
	}
}

// Ceph does not rename: what of the record depends on whether the driver could
// find an RBD image of its name.
func TestAdoptVolumeRenameFails(t *testing.T) {
	t.Parallel()
	down := fmt.Errorf("%w: no monitor answers", quarantine.ErrUnavailable)
	for name, c := range map[string]struct {
		fault  func(n int, from string) (before, after error)
		want   error // nil: it is given
		rbd    string
		record bool
	}{
		"refused":                   {func(int, string) (error, error) { return quarantine.ErrRefused, nil }, quarantine.ErrRefused, sourceName, true},
		"refused, and back it goes": {func(_ int, from string) (error, error) { return only(from, sourceName, quarantine.ErrRefused), nil }, quarantine.ErrRefused, sourceName, false},
		"a lost answer":             {func(n int, _ string) (error, error) { return nil, first(n, down) }, nil, finalName, true},
		"away for a moment":         {func(n int, _ string) (error, error) { return first(n, down), nil }, nil, finalName, true},
		"away":                      {func(int, string) (error, error) { return down, nil }, quarantine.ErrUnavailable, sourceName, true},
		"its end is not known":      {func(_ int, from string) (error, error) { return only(from, sourceName, down), nil }, quarantine.ErrUnavailable, sourceName, true},
		"done, and then away":       {func(int, string) (error, error) { return nil, down }, nil, finalName, true},
	} {
		tr := newTrial(t)
		n := 0
		tr.images = renamer{tr.f.ceph, func(from, _ string) (error, error) { n++; return c.fault(n, from) }}
		_, err := tr.api().AdoptVolume(t.Context(), tr.order())
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if got, ids := tr.rbd(), tr.left(); got != c.rbd || len(ids) > 0 != c.record {
			t.Errorf("%s: the disk is called %s; images %v: %v", name, got, ids, err)
		}
		if err != nil && c.record && !strings.Contains(err.Error(), "image 20 is left in the cloud") {
			t.Errorf("%s: the error does not say what is left: %v", name, err)
		}
	}
}

func first(n int, err error) error {
	if n == 1 {
		return err
	}
	return nil
}

func only(from, name string, err error) error {
	if from == name {
		return err
	}
	return nil
}

// An RBD image that has the final name already, and that no record names, is
// somebody's: the record that does is not deleted.
func TestAdoptVolumeFinalNameTaken(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	other := tr.f.disk(t, finalName, []byte("another's"))
	_, err := tr.api().AdoptVolume(t.Context(), tr.order())
	if !errors.Is(err, quarantine.ErrExists) || !strings.Contains(err.Error(), "is left in the cloud") {
		t.Errorf("error %v", err)
	}
	if st, ok := tr.f.ceph.Look(other); !ok || st.InTrash || st.Name != finalName || tr.rbd() != sourceName {
		t.Errorf("the other is %+v, the disk is called %s", st, tr.rbd())
	}
}

// What cannot be handed over goes back under its name, before the record goes.
func TestAdoptVolumeChownRefused(t *testing.T) {
	t.Parallel()
	refused := func(c oneCall) oneFault {
		if c.method == "one.image.chown" {
			return oneFault{code: 512, text: "User [2] : limit of 100 reached for SIZE quota"}
		}
		return oneFault{}
	}
	tr := newTrial(t)
	tr.f.fault = refused
	_, err := tr.api().AdoptVolume(t.Context(), tr.order())
	if !errors.Is(err, quarantine.ErrRefused) || !strings.Contains(err.Error(), "SIZE quota") {
		t.Errorf("error %v", err)
	}
	tr.untouched()

	// It cannot be renamed back: the record stays, and so does the disk.
	tr = newTrial(t)
	tr.f.fault = refused
	tr.images = renamer{tr.f.ceph, func(from, _ string) (error, error) { return only(from, finalName, quarantine.ErrBusy), nil }}
	_, err = tr.api().AdoptVolume(t.Context(), tr.order())
	if !errors.Is(err, quarantine.ErrRefused) || !strings.Contains(err.Error(), "image 20 is left in the cloud") || !strings.Contains(err.Error(), finalName) {
		t.Errorf("error %v", err)
	}
	if tr.rbd() != finalName || len(tr.f.called("one.image.delete")) > 0 {
		t.Errorf("the disk is called %s: %v", tr.rbd(), tr.f.called("one.image.delete"))
	}
}

// An image that OpenNebula never makes ready is taken back.
func TestAdoptVolumeNeverReady(t *testing.T) {
	t.Parallel()
	for state, want := range map[int]error{4: quarantine.ErrUnavailable, 5: quarantine.ErrInvalid, 3: quarantine.ErrInvalid} {
		tr := newTrial(t)
		tr.f.born = state
		_, err := tr.slow(200*time.Millisecond).AdoptVolume(t.Context(), tr.order())
		if !errors.Is(err, want) {
			t.Errorf("state %d: %v", state, err)
		}
		tr.untouched()
	}
}

// A caller that goes while Ceph renames does not leave it half done.
func TestAdoptVolumeCallerGoesWhileRenaming(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tr.images = leaving{renamer{tr.f.ceph, nil}, cancel, &sync.Once{}}
	_, err := tr.api().AdoptVolume(ctx, tr.order())
	if !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	tr.untouched()
}

// leaving ends the caller's context during a rename, which a context that had
// ended would break off.
type leaving struct {
	renamer
	cancel context.CancelFunc
	once   *sync.Once
}

// RenameImage implements quarantine.Renamer.
func (l leaving) RenameImage(ctx context.Context, pool quarantine.PoolRef, from, to string) error {
	l.once.Do(l.cancel)
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", quarantine.ErrUnavailable, ctx.Err())
	}
	return l.renamer.RenameImage(ctx, pool, from, to)
}

// An image by location keeps its RBD name; what is refused says so, and that
// nothing is there.
func TestAdoptImageRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*quarantine.ImageOrder)
		fault  string
		code   int
		want   error
	}{
		"another cluster": {func(o *quarantine.ImageOrder) { o.FSID = "x" }, "", 0, quarantine.ErrInvalid},
		"no such user":    {func(o *quarantine.ImageOrder) { o.Owner = "x" }, "", 0, quarantine.ErrNotFound},
		"no size":         {func(o *quarantine.ImageOrder) { o.SizeBytes = 0 }, "", 0, quarantine.ErrInvalid},
		"not oneadmin":    {nil, "one.image.allocate", 512, quarantine.ErrRefused},
		"quota":           {nil, "one.image.chown", 512, quarantine.ErrRefused},
		"oned's error":    {nil, "one.image.allocate", 8192, nil},
		"no answer":       {nil, "one.image.chown", 0, nil},
	} {
		tr := newTrial(t)
		tr.f.fault = func(call oneCall) oneFault {
			if call.method == c.fault {
				return oneFault{code: c.code, text: "no", cut: c.code == 0}
			}
			return oneFault{}
		}
		o := quarantine.ImageOrder{Source: sourceName, FSID: tr.f.place.FSID, Name: "web", Owner: "alice", SizeBytes: 1}
		if c.change != nil {
			c.change(&o)
		}
		_, err := tr.api().AdoptImage(t.Context(), o)
		if err == nil || errors.Is(err, quarantine.ErrUnavailable) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if ids := tr.left(); len(ids) > 0 {
			t.Errorf("%s: images %v are left", name, ids)
		}
	}
}

// Where no answer to allocate comes, nothing is known, though no image is found.
func TestAdoptImageAllocateLost(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	tr.f.fault = func(c oneCall) oneFault { return oneFault{cut: c.method == "one.image.allocate"} }
	_, err := tr.api().AdoptImage(t.Context(), quarantine.ImageOrder{Source: sourceName, FSID: tr.f.place.FSID, Name: "web", SizeBytes: 1})
	if !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	tr.untouched()

	// Another record of the RBD image: it must stay.
	tr = newTrial(t)
	tr.f.images[4] = &oneImage{id: 4, uid: 2, name: "x", state: 1, source: onePool + "/" + sourceName}
	_, err = tr.api().AdoptImage(t.Context(), quarantine.ImageOrder{Source: sourceName, FSID: tr.f.place.FSID, Name: "web", SizeBytes: 1})
	if !errors.Is(err, quarantine.ErrUnavailable) || len(tr.f.called("one.image.allocate")) > 0 {
		t.Errorf("error %v", err)
	}
}
