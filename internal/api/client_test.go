package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// speaker is a client of the world's server.
func (w *world) speaker(secret string) *client.Client {
	w.t.Helper()
	c, err := client.New(client.Config{Server: w.http.URL, Token: secret})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// kept is an export's sink.
type kept struct{ content []byte }

func (k *kept) Begin(size int64) error {
	k.content = make([]byte, size)
	return nil
}

func (k *kept) Extent(offset int64, data []byte) error {
	copy(k.content[offset:], data)
	return nil
}

// The project's own client and this server understand each other on every
// route.
func TestClientAndServer(t *testing.T) {
	t.Parallel()
	w := start(t)
	d, content := w.evidence()
	w.reported("web", "root", nil)
	c := w.speaker(admin)
	held := true

	must(t, "guard", func() error {
		st, err := c.Guard(w.ctx, "vms/blue")
		return whether(err, st.Pool.PoolRef == nsed)
	})
	must(t, "guards", func() error {
		all, err := c.Guards(w.ctx)
		return whether(err, len(all) == 4)
	})
	must(t, "switch a guard", func() error {
		st, err := c.SetGuard(w.ctx, "beta:one", wire.GuardRequest{On: true, Reason: "r"})
		return whether(err, st.Setting.On && !st.CanaryAt.IsZero())
	})
	must(t, "hold", func() error {
		got, err := c.Hold(w.ctx, d.ID, wire.HoldRequest{CaseID: "C-1", Reason: "r"})
		return whether(err, got.Held)
	})
	must(t, "list", func() error {
		page, err := c.DiskPage(w.ctx, client.Query{
			States: []quarantine.State{quarantine.Quarantined, quarantine.Lost}, Pool: "vms", Cloud: "vac", Project: "physics", User: "alice", VM: "web",
			Address: "192.0.2.7", CaseID: "C-1", Name: "root", Held: &held, From: w.clock.Now().Add(-day), To: w.clock.Now().Add(day), Sort: "size_bytes", Desc: true,
		}, 5, 0)
		return whether(err, page.Total == 1 && page.Disks[0].ID == d.ID && page.Limit == 5)
	})
	must(t, "release", func() error {
		got, err := c.Release(w.ctx, d.ID, wire.HoldRequest{CaseID: "C-1", Reason: "r"})
		return whether(err, !got.Held)
	})
	must(t, "extend", func() error {
		until := w.clock.Now().Add(100 * day).Truncate(time.Second)
		got, err := c.Extend(w.ctx, d.ID, wire.ExtendRequest{Until: until, Reason: "r"})
		return whether(err, got.RetainUntil.Equal(until))
	})
	must(t, "show", func() error {
		got, err := c.Disk(w.ctx, d.ID[:6])
		return whether(err, got.ID == d.ID && len(got.Custody) > 3 && got.CustodyFault == "")
	})
	must(t, "explain", func() error {
		got, err := c.Explain(w.ctx, d.ID)
		return whether(err, got.Now.Rule == "web" && got.Now.Retain == 30*day)
	})
	must(t, "export", func() error {
		var k kept
		sum, err := c.Export(w.ctx, d.ID, wire.ReasonRequest{Reason: "r"}, &k)
		return whether(err, sum == sha256.Sum256(content) && bytes.Equal(k.content, content))
	})
	must(t, "restore", func() error {
		steps := 0
		got, err := c.Restore(w.ctx, d.ID, wire.RestoreRequest{Name: "again", Flatten: true, Reason: "r"}, func(_, _ uint64) { steps++ })
		return whether(err, got.ID == d.ID && steps > 0)
	})
	must(t, "purge", func() error {
		got, err := c.Purge(w.ctx, d.ID, wire.ReasonRequest{Reason: "r"})
		return whether(err, got.State == quarantine.RequestOpen && got.Disk == d.ID)
	})
	must(t, "restore in place", func() error {
		got, err := c.Restore(w.ctx, d.ID, wire.RestoreRequest{InPlace: true, Reason: "r"}, nil)
		return whether(err, got.State == "restored")
	})
	must(t, "job", func() error {
		rep, err := c.RunJob(w.ctx, "collect", wire.JobRequest{DryRun: true, ConfirmClock: true})
		return whether(err, rep.DryRun && w.jobs.all()[0] == "collect by ada, dry run true, clock confirmed true")
	})
	must(t, "status", func() error {
		st, err := c.Status(w.ctx)
		return whether(err, st.Version == "test")
	})
	must(t, "doctor", func() error {
		found, err := c.Doctor(w.ctx)
		return whether(err, len(found) == 1)
	})
	must(t, "hook", func() error {
		got, err := c.Hook(w.ctx, "generic", "vac", true, []byte(genericBody("vm-2")))
		return whether(err, got.DryRun && len(got.Deletions) == 1)
	})
	must(t, "verify", func() error { return c.VerifyCustody(w.ctx) })
	must(t, "rebuild", func() error {
		rep, err := c.RebuildCatalog(w.ctx)
		return whether(err, rep.Actor == "ada")
	})
	w.silent()
}

// Refusals come to the client as the domain's own errors, also those in a
// stream.
func TestClientSeesTheDomainsErrors(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	c := w.speaker(operator)
	_, err := c.Disk(w.ctx, "0123456789abcdef")
	check(t, err, quarantine.ErrNotFound)
	_, err = c.Extend(w.ctx, d.ID, wire.ExtendRequest{Until: w.clock.Now().Add(-day), Reason: "r"})
	check(t, err, quarantine.ErrInvalid)
	_, err = c.Restore(w.ctx, d.ID, wire.RestoreRequest{Name: "quarantine.x", Reason: "r"}, nil)
	check(t, err, quarantine.ErrInvalid)
	_, err = c.RunJob(w.ctx, "guard", wire.JobRequest{})
	check(t, err, quarantine.ErrBusy)
	w.ceph.FailNext("ReadSealed", 1, quarantine.ErrUnavailable)
	var k kept
	_, err = c.Export(w.ctx, d.ID, wire.ReasonRequest{Reason: "r"}, &k)
	check(t, err, quarantine.ErrUnavailable)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	_, err = c.Status(ctx)
	check(t, err, context.Canceled)
}

func must(t *testing.T, what string, do func() error) {
	t.Helper()
	if err := do(); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func whether(err error, asWanted bool) error {
	if err == nil && !asWanted {
		return errors.New("not what was wanted")
	}
	return err
}

func check(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}
