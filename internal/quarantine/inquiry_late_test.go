package quarantine_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// askedCloud is a cloud that sees what it is asked about.
type askedCloud struct {
	*fakeCloud
	// during runs while the cloud is asked; fail is how it fails over a resource.
	during func()
	fail   map[string]error
	asked  map[string]int
}

func (c *askedCloud) Complete(ctx context.Context, d quarantine.Deletion) (quarantine.Deletion, error) {
	c.asked[d.ResourceID]++
	if c.during != nil {
		c.during()
	}
	if err := c.fail[d.ResourceID]; err != nil {
		return quarantine.Deletion{}, err
	}
	return c.fakeCloud.Complete(ctx, d)
}

func (w *world) asking(c *fakeCloud) (*askedCloud, *quarantine.Inquirer) {
	a := &askedCloud{fakeCloud: c, fail: map[string]error{}, asked: map[string]int{}}
	return a, quarantine.NewInquirer(w.recorder, w.reconciler, quarantine.InquirerConfig{
		Clouds: []quarantine.CloudReader{a}, Inventory: w.store, Inquiries: w.store, Marks: w.store, Clock: w.now,
		Log: slog.New(slog.NewTextHandler(w.log, nil)), Every: time.Millisecond, Settle: 20 * time.Second, Lookback: 7 * day, Keep: 90 * day,
	})
}

func (w *world) unasked() int {
	w.t.Helper()
	open, err := w.store.Unasked(w.ctx, "os", time.Time{}, 0)
	if err != nil {
		w.t.Fatalf("unasked: %v", err)
	}
	return len(open)
}

// What a cloud cannot tell of does not keep the rest waiting: the rest is asked
// about, however much of the other stands before it, and that again once the
// cloud can.
func TestUnanswerableDeletionsDoNotBlockOthers(t *testing.T) {
	w := newWorld(t)
	c, inquirer := w.asking(w.cloud)
	for i := range 10 {
		d := w.cloud.server(fmt.Sprint("s", i))
		w.cloud.boot(d)
		w.cloud.kill(d.ResourceID, w.now())
		d.StartedAt = w.now()
		w.record(d)
		if i < 7 {
			c.fail[d.ResourceID] = quarantine.ErrUnavailable
		}
		w.jump(time.Second)
	}
	for range 3 { // each gives up after three failures in a row
		inquirer.RunJob(w.ctx, "test", quarantine.JobOptions{})
	}
	if n := w.unasked(); n != 7 {
		t.Errorf("%d are unasked, want the 7 that the cloud cannot tell of: asked %v", n, c.asked)
	}
	for id, n := range c.asked {
		if n != 1 {
			t.Errorf("%s was asked about %d times in one minute", id, n)
		}
	}
	w.jump(10 * time.Minute)
	clear(c.fail)
	inquirer.RunJob(w.ctx, "test", quarantine.JobOptions{})
	if n := w.unasked(); n != 0 {
		t.Errorf("%d are unasked when the cloud answers again", n)
	}
}

// A cloud that does not answer at all is not asked about each of a thousand
// deletions in turn.
func TestDownCloudIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	c, inquirer := w.asking(w.cloud)
	for i := range 20 {
		d := w.cloud.server(fmt.Sprint("s", i))
		d.StartedAt = w.now()
		w.record(d)
		c.fail[d.ResourceID] = quarantine.ErrUnavailable
	}
	if rep := inquirer.RunJob(w.ctx, "test", quarantine.JobOptions{}); rep.Failed() == 0 {
		t.Errorf("the job does not tell: %+v", rep)
	}
	if len(c.asked) > 3 {
		t.Errorf("it was asked %d times", len(c.asked))
	}
}

// A cloud whose listing fails is still asked for its dead and for names.
func TestFailedListingKeepsTheRestGoing(t *testing.T) {
	w := newWorld(t)
	c, inquirer := w.asking(w.cloud)
	d := w.cloud.server("s1")
	w.cloud.boot(d)
	w.cloud.kill("s1", w.now())
	d.StartedAt = w.now()
	w.record(d)
	w.cloud.fail["Living"] = quarantine.ErrUnavailable
	if rep := inquirer.RunJob(w.ctx, "test", quarantine.JobOptions{}); rep.Failed() == 0 {
		t.Errorf("the job does not tell: %+v", rep)
	}
	if c.asked["s1"] == 0 || w.unasked() != 0 {
		t.Errorf("it was asked about %v, %d are unasked", c.asked, w.unasked())
	}
}

// A report that brings an id without its name while the cloud is being asked has
// it asked again.
func TestReportDuringTheQuestion(t *testing.T) {
	w := newWorld(t)
	first := w.cloud.volume("v1")
	first.StartedAt, first.Project = w.now(), quarantine.Principal{}
	w.record(first)
	c, inquirer := w.asking(w.cloud)
	c.during = func() {
		c.during = nil
		second := first
		second.Project = quarantine.Principal{ID: "p1"}
		w.record(second)
	}
	inquirer.RunJob(w.ctx, "test", quarantine.JobOptions{})
	if n := w.unasked(); n != 1 && c.asked["v1"] < 2 {
		t.Errorf("it was asked %d times, %d are unasked: the project has no name for ever", c.asked["v1"], n)
	}
}

// A volume that was seen attached, was detached and then deleted is not the
// server's that lives on.
func TestDetachedVolumeIsOfNoServer(t *testing.T) {
	w := newWorld(t)
	s := w.cloud.server("s1")
	s.Volumes = []quarantine.VolumeRef{{ID: "v1", DeleteOnTermination: true}}
	w.cloud.boot(s)
	v := w.cloud.volume("v1")
	v.ServerID = "s1"
	w.cloud.boot(v)
	key := w.image(vols, "volume-v1")
	w.ask()
	w.jump(5 * time.Minute)
	w.cloud.kill("v1", w.now())
	event := w.cloud.volume("v1") // with no attachment in it
	event.StartedAt, event.EndedAt = w.now(), w.now().Add(time.Second)
	w.record(event)
	w.gone(vols, "volume-v1")
	w.look()
	w.ask()
	if d := w.disk(key).Deletion; d.ServerID != "" || len(d.Addresses) > 0 {
		t.Errorf("of server %q with addresses %+v, which lives and has it no more", d.ServerID, d.Addresses)
	}
}

// An address that a server got days after its rebuild is not the old disk's,
// whoever tells of it.
func TestLateAddressesAreNotTheActs(t *testing.T) {
	for name, late := range map[string]time.Duration{"soon": time.Minute, "late": 3 * day} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.cloud.server("s1")
			rebuild := s
			rebuild.Kind = quarantine.KindRebuild
			rebuild.ID = quarantine.DeletionID("os", quarantine.KindRebuild, "s1", "req")
			rebuild.Addresses, rebuild.StartedAt, rebuild.EndedAt = nil, w.now(), w.now()
			w.record(rebuild)
			w.jump(late)
			s.Addresses = []quarantine.Address{{IP: "192.0.2.99"}}
			w.cloud.boot(s)
			w.ask()
			d, err := w.store.Deletion(w.ctx, rebuild.ID)
			if err != nil || (len(d.Addresses) > 0) != (name == "soon") {
				t.Errorf("addresses %+v, %v", d.Addresses, err)
			}
		})
	}
}

// While a cloud deletes, only the servers that are dying are asked about, whose
// addresses it is about to forget; the rest is asked about when it has had time
// to finish.
func TestOnlyTheDyingAreAskedAboutAtOnce(t *testing.T) {
	w := newWorld(t)
	c, inquirer := w.asking(w.cloud)
	dead := w.cloud.server("dead")
	dead.StartedAt, dead.EndedAt = w.now(), w.now()
	volume := w.cloud.volume("volume")
	volume.StartedAt = w.now()
	w.record(dead)
	w.record(volume)
	w.jump(time.Second)
	dying := w.cloud.server("dying")
	dying.StartedAt = w.now()
	w.record(dying) // the last in line
	// until runs it until so many were asked about.
	until := func(n int) {
		ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
		defer cancel()
		c.during = func() {
			if len(c.asked) == n {
				cancel()
			}
		}
		if err := inquirer.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}
	until(1)
	if len(c.asked) != 1 || c.asked["dying"] == 0 {
		t.Errorf("at once it was asked about %v", c.asked)
	}
	w.jump(20 * time.Second)
	until(3)
	if len(c.asked) != 3 {
		t.Errorf("later it was asked about %v", c.asked)
	}
}

// An event tells of the fixed addresses only: the floating one that the server
// was seen with is its own too, and a fixed one that it had lost is not.
func TestFloatingAddressesComeFromTheStock(t *testing.T) {
	w := newWorld(t)
	s := w.cloud.server("s1")
	s.Addresses = []quarantine.Address{
		{IP: "10.0.0.5", MAC: "fa:16:3e:00:00:05", Type: "fixed"}, {IP: "10.0.0.6", MAC: "fa:16:3e:00:00:06", Type: "fixed"},
		{IP: "198.18.0.10", MAC: "fa:16:3e:00:00:05", Type: quarantine.AddressFloating},
	}
	w.cloud.boot(s)
	w.ask()
	w.jump(time.Minute)
	w.cloud.kill("s1", w.now())
	event := s
	event.Addresses = []quarantine.Address{{IP: "10.0.0.5", MAC: "fa:16:3e:00:00:05"}}
	event.StartedAt, event.EndedAt = w.now(), w.now()
	// The cloud remembers no address of a dead server.
	dead := w.cloud.dead["s1"]
	dead.Addresses = nil
	w.cloud.dead["s1"] = dead
	w.record(event)
	w.ask()
	d, err := w.store.Deletion(w.ctx, event.ID)
	var got []string
	for _, a := range d.Addresses {
		got = append(got, a.IP)
	}
	if err != nil || strings.Join(got, " ") != "10.0.0.5 198.18.0.10" {
		t.Errorf("addresses %q, %v", got, err)
	}
}
