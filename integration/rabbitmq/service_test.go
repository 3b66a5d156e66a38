package rabbitlab_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quarantine/internal/openstack"
	"quarantine/internal/quarantine"
)

// cloudName is the configured name of the cloud in all tests.
const cloudName = "zed"

// service stands for the part of the daemon around a consumer: a catalog in
// memory, a log, metrics.
type service struct {
	*openstack.Consumer
	stop func()

	mu      sync.Mutex
	known   map[string]quarantine.Deletion
	calls   int
	fail    func(quarantine.Deletion) error // may be nil
	results map[string]int
	ups     []bool
	backlog []int
	log     bytes.Buffer
}

// serve runs a consumer of the cloud until the test ends, or stop is called.
// change may alter its configuration.
func serve(t testing.TB, c cloud, change func(*openstack.ConsumerConfig, *service)) *service {
	t.Helper()
	s := &service{known: map[string]quarantine.Deletion{}, results: map[string]int{}}
	cfg := openstack.ConsumerConfig{
		Cloud: cloudName, URLs: []string{c.lab.URL()}, Exchanges: c.exchanges(), Queue: c.name,
		Record: s.record, Log: slog.New(slog.NewTextHandler(lockedWriter{s}, nil)), Clock: time.Now, Observer: s,
	}
	if change != nil {
		change(&cfg, s)
	}
	var err error
	if s.Consumer, err = openstack.NewConsumer(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if s.Up() {
			t.Error("Run returned, and the consumer says that it is up")
		}
	})
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("the log:\n%s", s.logged())
		}
	})
	return s
}

// served is serve, and waits until messages flow.
func served(t testing.TB, c cloud, change func(*openstack.ConsumerConfig, *service)) *service {
	t.Helper()
	s := serve(t, c, change)
	s.wait(t)
	return s
}

func (s *service) wait(t testing.TB) {
	t.Helper()
	eventually(t, "the consumer is up", s.Up)
}

// record is the catalog.
func (s *service) record(_ context.Context, ds []quarantine.Deletion) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.fail != nil {
		if err := s.fail(ds[0]); err != nil {
			return err
		}
	}
	for _, d := range ds {
		add(s.known, d)
	}
	return nil
}

// add joins reports by id, as the catalog does.
func add(known map[string]quarantine.Deletion, d quarantine.Deletion) {
	if old, ok := known[d.ID]; ok {
		d = quarantine.Merge(old, d)
	}
	known[d.ID] = d
}

// Received implements openstack.ConsumerObserver.
func (s *service) Received(result string, lag time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results[result]++
}

// Connected implements openstack.ConsumerObserver.
func (s *service) Connected(up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ups = append(s.ups, up)
}

// Backlog implements openstack.ConsumerObserver.
func (s *service) Backlog(messages int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backlog = append(s.backlog, messages)
}

// backlogs are what Backlog was told so far.
func (s *service) backlogs() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.backlog)
}

// states are what Connected was told so far.
func (s *service) states() []bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ups)
}

func (s *service) count(result string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.results[result]
}

func (s *service) setFail(fail func(quarantine.Deletion) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func (s *service) deletions() map[string]quarantine.Deletion {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.known)
}

// has reports whether exactly these were recorded.
func (s *service) has(want map[string]quarantine.Deletion) bool {
	return maps.EqualFunc(s.deletions(), want, quarantine.Deletion.Equal)
}

func (s *service) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// lines counts the log lines that contain the text.
func (s *service) lines(text string) int {
	n := 0
	for line := range strings.Lines(s.logged()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

type lockedWriter struct{ s *service }

func (w lockedWriter) Write(p []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.s.log.Write(p)
}

// expected is what the messages should lead to.
func expected(t testing.TB, rs []recorded) map[string]quarantine.Deletion {
	t.Helper()
	known := map[string]quarantine.Deletion{}
	for _, r := range rs {
		ds, err := openstack.Decode(cloudName, r.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range ds {
			add(known, d)
		}
	}
	return known
}
