package main

import (
	"cmp"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/api/wire"
	"quarantine/internal/catalog"
	"quarantine/internal/custody"
	"quarantine/internal/quarantine"
)

// checked runs the check that doctor --deep is, in the daemon.
func (p *process) checked() (found []quarantine.CheckFinding, res quarantine.CheckResult, err error) {
	res, err = p.Check(p.t.Context(), func(f quarantine.CheckFinding) error {
		found = append(found, f)
		return nil
	}, nil)
	return found, res, err
}

// offline is the books of a daemon that does not run.
type offline struct {
	catalog *catalog.Catalog
	checker *quarantine.Checker
}

type noObserver struct{}

func (noObserver) Moved(*quarantine.Disk, quarantine.State) {}
func (noObserver) Captured(time.Duration)                   {}
func (noObserver) CustodyFailed()                           {}

// offline opens the books of the daemon, which is down, and a check over them and
// the real Ceph: nobody repairs what it is to find. Its clock is ahead by the
// time.
func (s *site) offline(ahead time.Duration) *offline {
	s.t.Helper()
	cfg, err := loadConfig(s.configPath)
	if err != nil {
		s.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	clock := func() time.Time { return time.Now().Add(ahead) }
	cat, err := catalog.Open(s.ctx, cfg.Catalog, catalog.Options{}, log)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = cat.Close() })
	past, err := custody.Open(cfg.Custody, log, clock)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = past.Close() })
	r := s.look()
	ledger := quarantine.NewLedger(quarantine.LedgerConfig{Disks: cat, Images: r, Custody: past, History: past, Clock: clock, Log: log, Observer: noObserver{}, Standing: cat})
	return &offline{cat, quarantine.NewChecker(ledger, cat, r, r, r, r, quarantine.CheckConfig{Workers: 4, Settle: time.Hour})}
}

// On a real Ceph a check finds nothing in what the service has left, and then
// everything that was done by hand: a removed seal and image, a stray snapshot, an
// image under a reserved name, a record and a row that were altered, a death that
// nobody has heard of.
func TestDeepCheck(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	p := s.start()
	names := []string{"unsealed", "gone", "snapped", "record", "row", "restored", "whole"}
	for _, name := range names {
		s.image(name)
		s.remove(name)
	}
	keys := map[string]quarantine.Key{}
	for _, d := range p.wait(len(names), quarantine.Quarantined) {
		keys[d.OriginalName] = keyOf(&d)
	}
	if _, err := p.Restore(s.ctx, keys["restored"].DiskID(), wire.RestoreRequest{InPlace: true, Reason: "a test"}, nil); err != nil {
		t.Fatal(err)
	}
	p.job(quarantine.JobReconcile)
	p.job(quarantine.JobGuard) // a canary is no finding
	s.shiftClock(2 * time.Hour)
	if found, res, err := p.checked(); err != nil || len(found) > 0 || res.Rows != uint64(len(names)) || res.Entries < uint64(len(names)-1) {
		t.Fatalf("before the damage: %+v, %+v, %v", found, res, err)
	}
	p.stop()

	of := func(name string, verb ...string) {
		t.Helper()
		s.rbd(append(verb, "--pool", s.spec, "--image-id", keys[name].ImageID)...)
	}
	of("unsealed", "snap", "rm", "--no-progress", "--snap", quarantine.SealSnapshot)
	of("gone", "snap", "rm", "--no-progress", "--snap", quarantine.SealSnapshot)
	s.rbd("trash", "rm", "--no-progress", "--force", s.spec+"/"+keys["gone"].ImageID)
	reserved := keys["snapped"].ReservedName() // rbd takes a snapshot by name only
	s.rbd("trash", "restore", s.spec+"/"+keys["snapped"].ImageID, "--image", reserved)
	s.rbd("snap", "create", "--no-progress", s.spec+"/"+reserved+"@stray")
	s.rbd("trash", "mv", "--expires-at", time.Now().Add(300*day).Format(time.DateOnly), s.spec+"/"+reserved)
	s.rbd("create", "--size", "4M", s.spec+"/"+quarantine.ReservedPrefix+"stray")
	for _, name := range []string{"late", "headless", "hollow"} {
		s.image(name)
		s.remove(name)
	}
	ids := map[string]string{} // of what is in the trash
	for id, name := range s.trash() {
		ids[name] = id
	}
	for _, name := range []string{"headless", "hollow"} {
		s.rados("rm", "rbd_header."+ids[name])
	}
	s.beingRemoved(ids["hollow"])
	off := s.offline(2 * time.Hour)
	alter := func(name string) quarantine.Disk {
		t.Helper()
		d, err := off.catalog.Disk(s.ctx, keys[name].DiskID())
		if err != nil {
			t.Fatal(err)
		}
		d.RetainUntil = d.RetainUntil.Add(-day)
		return d
	}
	forged, err := quarantine.EncodeRecord(alter("record"))
	if err != nil {
		t.Fatal(err)
	}
	img, err := s.look().OpenImage(s.ctx, keys["record"])
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(img.WriteRecord(s.ctx, forged), img.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := off.catalog.PutDisk(s.ctx, alter("row")); err != nil {
		t.Fatal(err)
	}

	type seen struct {
		kind  quarantine.CheckKind
		image string
	}
	var got []seen
	next := map[string]string{}
	_, err = off.checker.Run(s.ctx, func(f quarantine.CheckFinding) error {
		t.Logf("%+v", f)
		got = append(got, seen{f.Kind, f.ImageID})
		next[f.ImageID] = f.Next
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	live, err := s.look().LiveImages(s.ctx, keys["row"].PoolRef(), quarantine.ReservedPrefix)
	if err != nil {
		t.Fatal(err)
	}
	stray := live[quarantine.ReservedPrefix+"stray"]
	want := []seen{
		{quarantine.CheckNoSeal, keys["unsealed"].ImageID},
		{quarantine.CheckNoImage, keys["gone"].ImageID},
		{quarantine.CheckStraySnapshot, keys["snapped"].ImageID},
		{quarantine.CheckRecord, keys["record"].ImageID},
		{quarantine.CheckRecord, keys["row"].ImageID},
		{quarantine.CheckPromise, keys["row"].ImageID},
		{quarantine.CheckReservedName, stray},
		{quarantine.CheckNotAdopted, ids["late"]},
		{quarantine.CheckHollowEntry, ids["headless"]},
		{quarantine.CheckHollowEntry, ids["hollow"]},
	}
	order := func(a, b seen) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.image, b.image)) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if !slices.Equal(got, want) {
		t.Errorf("found %+v\nwant  %+v", got, want)
	}
	// The hint about an entry that is left of a removal ends that; of one whose data is
	// there, it warns.
	end, ok := strings.CutPrefix(next[ids["hollow"]], "rbd ")
	if !ok || strings.HasPrefix(next[ids["headless"]], "rbd ") {
		t.Fatalf("to do: %q and %q", next[ids["hollow"]], next[ids["headless"]])
	}
	s.rbd(strings.Fields(end)...)
	if trash := s.trash(); trash[ids["hollow"]] != "" || trash[ids["headless"]] == "" {
		t.Errorf("in the trash are %v", trash)
	}
}

// rados runs rados on the site's pool, which has all rights.
func (s *site) rados(args ...string) {
	s.t.Helper()
	pool, ns, _ := strings.Cut(s.spec, "/")
	if _, err := s.lab.Rados(s.ctx, cephlab.Admin, append([]string{"--pool", pool, "--namespace", ns}, args...)...); err != nil {
		s.t.Fatal(err)
	}
}

// beingRemoved has the entry of the trash say what it says once Ceph has begun to
// remove its image: the state, its last byte, is 2
// (TRASH_IMAGE_STATE_REMOVING in cls_rbd_types.h).
func (s *site) beingRemoved(id string) {
	s.t.Helper()
	path := filepath.Join(s.dir, "entry")
	s.rados("getomapval", "rbd_trash", "id_"+id, path)
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	b[len(b)-1] = 2
	write(s.t, path, string(b))
	s.rados("setomapval", "--input-file", path, "rbd_trash", "id_"+id)
}
