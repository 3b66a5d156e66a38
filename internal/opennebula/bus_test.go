package opennebula_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// A configuration that cannot work is refused at the start.
func TestBusConfig(t *testing.T) {
	t.Parallel()
	good := func() opennebula.BusConfig {
		return opennebula.BusConfig{
			Cloud: cloud, Record: func(context.Context, []quarantine.Deletion) error { return nil }, Missed: func() {},
			Log: slog.New(slog.DiscardHandler), Clock: time.Now,
		}
	}
	bus, err := opennebula.NewBus(good())
	if err != nil || bus.Up() {
		t.Fatalf("the defaults: %v", err)
	}
	for _, endpoint := range []string{"tcp://[::1]:2101", "tcp://front-end.example.org:2101"} {
		cfg := good()
		cfg.Endpoint = endpoint
		if _, err := opennebula.NewBus(cfg); err != nil {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	for name, change := range map[string]func(*opennebula.BusConfig){
		"no cloud":           func(c *opennebula.BusConfig) { c.Cloud = "" },
		"no record":          func(c *opennebula.BusConfig) { c.Record = nil },
		"no missed":          func(c *opennebula.BusConfig) { c.Missed = nil },
		"no log":             func(c *opennebula.BusConfig) { c.Log = nil },
		"no clock":           func(c *opennebula.BusConfig) { c.Clock = nil },
		"negative heartbeat": func(c *opennebula.BusConfig) { c.Heartbeat = -1 },
		"negative queue":     func(c *opennebula.BusConfig) { c.Queue = -1 },
		"no scheme":          func(c *opennebula.BusConfig) { c.Endpoint = "127.0.0.1:2101" },
		"other scheme":       func(c *opennebula.BusConfig) { c.Endpoint = "ipc:///var/run/one" },
		"no host":            func(c *opennebula.BusConfig) { c.Endpoint = "tcp://:2101" },
		"any host":           func(c *opennebula.BusConfig) { c.Endpoint = "tcp://*:2101" },
		"no port":            func(c *opennebula.BusConfig) { c.Endpoint = "tcp://127.0.0.1" },
		"port 0":             func(c *opennebula.BusConfig) { c.Endpoint = "tcp://127.0.0.1:0" },
		"port beyond":        func(c *opennebula.BusConfig) { c.Endpoint = "tcp://127.0.0.1:65536" },
		"a path":             func(c *opennebula.BusConfig) { c.Endpoint = "tcp://127.0.0.1:2101/x" },
	} {
		cfg := good()
		change(&cfg)
		if _, err := opennebula.NewBus(cfg); !errors.Is(err, quarantine.ErrInvalid) {
			t.Errorf("%s: %v, want an error that wraps ErrInvalid", name, err)
		}
	}
}

// Of all that a hook manager publishes the Bus takes what may report a
// deletion, each once, in order, and nothing else; and it learns of every act
// what the hooks of the same acts were told.
func TestBusReplay(t *testing.T) {
	t.Parallel()
	pub := publish(t, "tcp://127.0.0.1:0")
	k := take(t, pub.endpoint(), nil)
	pub.subscribed()
	all := recordedMessages(t)
	for _, p := range all {
		pub.send(p.frames()...)
	}
	checkReplay(t, k, all)
}

// checkReplay waits for the last message and compares all that was recorded.
func checkReplay(t *testing.T, k *taker, all []published) {
	t.Helper()
	var want []quarantine.Deletion
	var bodies [][]byte
	for _, p := range all {
		if p.body == nil {
			continue
		}
		bodies = append(bodies, p.body)
		if strings.HasPrefix(p.topic, "EVENT STATE ") || strings.HasPrefix(p.topic, "EVENT API ") {
			want = append(want, decode(t, p.body)...)
		}
	}
	k.until("the last deletion", func() bool { return len(k.recorded) >= len(want) })
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.EqualFunc(k.recorded, want, quarantine.Deletion.Equal) {
		t.Errorf("recorded %q, want %q", lines(k.recorded), lines(want))
	}
	// DONE of the VM that never had a host, and of the one that --delete-db
	// forgot.
	if len(want) != 62 || k.results["recorded"] != 62 || k.results["ignored"] != 2 || len(k.results) != 2 {
		t.Errorf("results %v, want 62 recorded and 2 ignored", k.results)
	}
	for i, lag := range k.lags {
		if d := k.recorded[i]; (lag > 0) != (d.ResourceKind == quarantine.ResourceVM) {
			t.Errorf("the lag of the %s of %s %s is %s", d.Kind, d.ResourceKind, d.ResourceID, lag)
		}
	}

	// What was not subscribed to adds nothing.
	got := byID(merge(k.recorded))
	if every := byID(merged(t, bodies)); len(got) != len(every) {
		t.Errorf("the Bus knows %d acts of %d", len(got), len(every))
	}
	hooks := hookDeletions(t)
	if len(hooks) < 20 {
		t.Fatalf("the hooks report only %d acts", len(hooks))
	}
	for id, h := range hooks {
		if d, ok := got[id]; !ok || !d.Equal(h) {
			t.Errorf("the hooks report %q, the Bus %q", line(h), line(d))
		}
		delete(got, id)
	}
	for _, d := range got {
		if d.Kind != quarantine.KindDiskDetach { // of which no hook was recorded
			t.Errorf("no hook reports %q", line(d))
		}
	}
	if len(got) != 3 {
		t.Errorf("%d disks were detached, want 3", len(got))
	}
}

// hookDeletions are what the state hooks were told, by id.
func hookDeletions(t *testing.T) map[string]quarantine.Deletion {
	t.Helper()
	files, err := filepath.Glob("testdata/hooks/*-st_*.stdin")
	if err != nil {
		t.Fatal(err)
	}
	bodies := make([][]byte, len(files))
	for i, f := range files {
		bodies[i] = body(t, "hooks/"+filepath.Base(f))
	}
	return byID(merged(t, bodies))
}

func merge(ds []quarantine.Deletion) []quarantine.Deletion {
	var out []quarantine.Deletion
	for _, d := range ds {
		if i := slices.IndexFunc(out, func(o quarantine.Deletion) bool { return o.ID == d.ID }); i >= 0 {
			out[i] = quarantine.Merge(out[i], d)
		} else {
			out = append(out, d)
		}
	}
	return out
}

func byID(ds []quarantine.Deletion) map[string]quarantine.Deletion {
	m := map[string]quarantine.Deletion{}
	for _, d := range ds {
		m[d.ID] = d
	}
	return m
}

// The publisher may come after the Bus, and may go and come back. Whoever asks
// the API is told to each time, and what is published then is heard.
func TestBusPublisherRestart(t *testing.T) {
	t.Parallel()
	endpoint := freeEndpoint(t)
	k := take(t, endpoint, brisk)
	k.until("a vain attempt", func() bool { return k.logged("connection refused") > 0 })
	messages := deaths(t)
	for i := range 2 {
		pub := publish(t, endpoint)
		k.until("the connection", func() bool { return k.missed == i+1 && len(k.ups) == 2*i+1 })
		if !k.bus.Up() {
			t.Error("it is connected, but not up")
		}
		pub.subscribed()
		pub.send(messages[i].frames()...)
		k.until("a record", func() bool { return len(k.recorded) == i+1 })
		pub.Close()
		k.until("the loss of the connection", func() bool { return len(k.ups) == 2*i+2 })
		if k.bus.Up() {
			t.Error("the publisher is gone, but it is up")
		}
	}
	if want := []bool{true, false, true, false}; !slices.Equal(k.ups, want) || vms(k.recorded) != "0 1" {
		t.Errorf("connected %v, want %v; recorded %s", k.ups, want, vms(k.recorded))
	}
}

// While Record fails, the event is kept and tried again, and the others wait
// their turn; one that never can be recorded does not hold them up.
func TestBusRecordFails(t *testing.T) {
	t.Parallel()
	pub := publish(t, "tcp://127.0.0.1:0")
	var tried []string
	k := take(t, pub.endpoint(), func(k *taker, cfg *opennebula.BusConfig) {
		brisk(k, cfg)
		cfg.Record = func(ctx context.Context, ds []quarantine.Deletion) error {
			tried = append(tried, ds[0].ResourceID)
			switch {
			case len(tried) <= 2:
				return quarantine.ErrUnavailable
			case ds[0].ResourceID == "1":
				return quarantine.ErrInvalid
			}
			return k.record(ctx, ds)
		}
	})
	pub.subscribed()
	k.until("the connection", func() bool { return k.missed == 1 })
	for _, p := range deaths(t)[:4] {
		pub.send(p.frames()...)
	}
	k.until("the records", func() bool { return k.results["recorded"] == 3 && k.backlog == 0 })
	k.end()
	if got, want := strings.Join(tried, " "), "0 0 0 1 2 3"; got != want {
		t.Errorf("tried to record %s, want %s", got, want)
	}
	if k.results["failed"] != 2 || k.results["invalid"] != 1 || vms(k.recorded) != "0 2 3" || k.missed != 2 {
		t.Errorf("results %v, recorded %s, missed %d", k.results, vms(k.recorded), k.missed)
	}
	if k.logged("record a deletion: it is tried again") != 2 {
		t.Errorf("the log:\n%s", k.log.String())
	}
}

// When too many events wait, the oldest give way. That is said once, when it
// begins, and once more is the API to be asked when it is over.
func TestBusOverflow(t *testing.T) {
	t.Parallel()
	pub := publish(t, "tcp://127.0.0.1:0")
	var held, release = make(chan struct{}, 8), make(chan struct{})
	k := take(t, pub.endpoint(), func(k *taker, cfg *opennebula.BusConfig) {
		brisk(k, cfg)
		cfg.Queue = 3
		cfg.Record = func(ctx context.Context, ds []quarantine.Deletion) error {
			held <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
				return ctx.Err()
			}
			return k.record(ctx, ds)
		}
	})
	pub.subscribed()
	k.until("the connection", func() bool { return k.missed == 1 })
	messages := deaths(t)
	pub.send(messages[0].frames()...)
	<-held
	for _, p := range messages[1:] {
		pub.send(p.frames()...)
	}
	k.until("drops", func() bool { return k.results["dropped"] == 4 && k.backlog == 3 })
	k.until("the call that says so", func() bool { return k.missed == 2 })
	close(release)
	k.until("the records", func() bool { return k.results["recorded"] == 4 })
	k.end()
	if vms(k.recorded) != "0 5 7 9" || k.missed != 3 {
		t.Errorf("recorded %s, want 0 5 7 9; missed %d, want 3", vms(k.recorded), k.missed)
	}
	if k.logged("too many events wait") != 1 || k.logged("more were dropped meanwhile") != 1 {
		t.Errorf("the log:\n%s", k.log.String())
	}
}

// The end of the context ends everything at once, whatever the Bus waits for,
// and no goroutine stays. It is not parallel: the others have goroutines of the
// same names.
func TestBusEnds(t *testing.T) {
	deaf, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := deaf.Accept(); err == nil {
			accepted <- c
		}
	}()

	pausing := take(t, freeEndpoint(t), nil)
	pausing.until("a vain attempt", func() bool { return pausing.logged("connection refused") > 0 })
	pausing.end()

	greeting := take(t, "tcp://"+deaf.Addr().String(), nil)
	conn := <-accepted
	defer conn.Close()
	greeting.end()

	pub := publish(t, "tcp://127.0.0.1:0")
	idle := take(t, pub.endpoint(), brisk)
	idle.until("the connection", func() bool { return len(idle.ups) == 1 })
	idle.end()
	if idle.bus.Up() || !slices.Equal(idle.ups, []bool{true, false}) {
		t.Errorf("after the end: up %v, connected %v", idle.bus.Up(), idle.ups)
	}

	for name, record := range map[string]func(context.Context) error{
		"recording": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"retrying":  func(context.Context) error { return quarantine.ErrUnavailable },
	} {
		pub := publish(t, "tcp://127.0.0.1:0")
		called := make(chan struct{}, 1)
		k := take(t, pub.endpoint(), func(_ *taker, cfg *opennebula.BusConfig) {
			cfg.Record = func(ctx context.Context, _ []quarantine.Deletion) error {
				select {
				case called <- struct{}{}:
				default:
				}
				return record(ctx)
			}
		})
		pub.subscribed()
		messages := deaths(t)
		pub.send(messages[0].frames()...)
		pub.send(messages[1].frames()...)
		<-called
		k.until("the other message", func() bool { return k.backlog == 1 })
		k.end()
		if k.logged("events are left unrecorded; the API tells of them at the next start\" endpoint="+pub.endpoint()+" messages=2") != 1 || k.results["recorded"] != 0 {
			t.Errorf("%s: results %v, the log:\n%s", name, k.results, k.log.String())
		}
	}
	noGoroutine(t, "opennebula.(*Bus)")
	noGoroutine(t, "opennebula.(*link)")
}
