package rabbitlab_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	rabbitlab "quarantine/integration/rabbitmq"
	"quarantine/internal/openstack"
	"quarantine/internal/quarantine"
)

var poison = recorded{Exchange: "nova", RoutingKey: "notifications.info", Body: json.RawMessage(`{"oslo.version":"2.0","oslo.message":"{\"event_type\":\"instance.delete.start\",\"payload\":7}"}`)}

// Everything that a real cloud published leads to its Deletions, each message
// delivered twice, through a queue of either type. All messages are taken off
// the queue, and none is dead-lettered.
func TestRecordedMessages(t *testing.T) {
	t.Parallel()
	for _, queueType := range []string{"classic", "quorum"} {
		t.Run(queueType, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t, rabbitlab.Shared(t))
			s := served(t, c, func(cfg *openstack.ConsumerConfig, _ *service) { cfg.QueueType = queueType })
			rs := recordings(t)
			c.publish(rs...)
			c.publish(rs...)
			eventually(t, "every message is worked on", func() bool {
				return s.count("recorded")+s.count("ignored") >= 2*len(rs)
			})
			if !s.has(expected(t, rs)) {
				t.Errorf("recorded:\n%+v", s.deletions())
			}
			if n := s.count("invalid") + s.count("failed"); n != 0 {
				t.Errorf("%d messages were invalid or failed", n)
			}
			s.stop()
			if n := length(t, c.dial(), c.name); n != 0 {
				t.Errorf("%d messages are still in the queue", n)
			}
		})
	}
}

// A message that cannot be read, and one whose Deletion is refused for good,
// go to the dead-letter queue as they are; the others are recorded, and the
// log does not repeat the message.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	c := newCloud(t, rabbitlab.Shared(t))
	s := served(t, c, func(cfg *openstack.ConsumerConfig, s *service) {
		s.fail = func(d quarantine.Deletion) error {
			if d.ResourceKind == quarantine.ResourceVolume {
				return fmt.Errorf("no volumes here: %w", quarantine.ErrInvalid)
			}
			return nil
		}
	})
	vm, volume := recordings(t, "normal-delete"), recordings(t, "volume-create-delete")[2]
	c.publish(vm[:30]...)
	c.publish(poison, volume)
	c.publish(vm[30:]...)
	eventually(t, "the good messages are recorded", func() bool { return s.has(expected(t, vm)) })
	ch := c.dial()
	eventually(t, "the bad ones are in the dead-letter queue", func() bool { return length(t, ch, c.name+".dead") == 2 })
	want := map[string]bool{string(poison.Body): true, string(volume.Body): true}
	for range want {
		d, ok, err := ch.Get(c.name+".dead", true)
		if err != nil || !ok || !want[string(d.Body)] {
			t.Fatalf("dead letter %q (%v, %v)", d.Body, ok, err)
		}
		delete(want, string(d.Body))
	}
	if s.count("invalid") != 2 || s.lines("dead-letter") != 2 {
		t.Errorf("%d counted, %d logged, want 2 each", s.count("invalid"), s.lines("dead-letter"))
	}
}

// While the catalog is away nothing is lost and the consumer does not spin;
// when it is back everything is recorded.
func TestRecordFails(t *testing.T) {
	t.Parallel()
	c := newCloud(t, rabbitlab.Shared(t))
	s := served(t, c, func(cfg *openstack.ConsumerConfig, s *service) {
		cfg.Prefetch = 8
		s.fail = func(quarantine.Deletion) error { return fmt.Errorf("catalog: %w", quarantine.ErrUnavailable) }
	})
	rs := recordings(t, "normal-delete", "volume-create-delete")
	began := time.Now()
	c.publish(rs...)
	eventually(t, "attempts fail", func() bool { return s.count("failed") >= 8+3 })
	// Eight messages fail once each, and then one at a time is tried again,
	// after 0, 0.2, 0.4 … s.
	if n, most := s.count("failed"), 8+3+int(time.Since(began)/(200*time.Millisecond)); n > most {
		t.Errorf("%d attempts in %s, want at most %d", n, time.Since(began), most)
	}
	if len(s.deletions()) != 0 || !s.Up() {
		t.Errorf("%d recorded, up %v", len(s.deletions()), s.Up())
	}
	s.setFail(nil)
	eventually(t, "all is recorded", func() bool { return s.has(expected(t, rs)) })
}

// A consumer that is stopped while the catalog is away has acknowledged
// nothing: the next one gets it all.
func TestStopWhileRecordFails(t *testing.T) {
	t.Parallel()
	c := newCloud(t, rabbitlab.Shared(t))
	s := served(t, c, func(cfg *openstack.ConsumerConfig, s *service) {
		s.fail = func(quarantine.Deletion) error { return fmt.Errorf("catalog: %w", quarantine.ErrUnavailable) }
	})
	rs := recordings(t, "soft-delete-reclaim")
	c.publish(rs...)
	eventually(t, "attempts fail", func() bool { return s.count("failed") >= 10 })
	s.stop()
	next := served(t, c, nil)
	eventually(t, "all is recorded", func() bool { return next.has(expected(t, rs)) })
}

// Messages published while no consumer runs wait in its queue.
func TestWaitWhileDown(t *testing.T) {
	t.Parallel()
	c := newCloud(t, rabbitlab.Shared(t))
	served(t, c, nil).stop()
	rs := recordings(t, "rebuild")
	c.publish(rs...)
	s := served(t, c, nil)
	eventually(t, "they are recorded", func() bool { return s.has(expected(t, rs)) })
}

// Who reads the queues that the services declare themselves takes nothing away
// from the consumer, nor the consumer from them.
func TestOwnQueue(t *testing.T) {
	t.Parallel()
	c := newCloud(t, rabbitlab.Shared(t))
	s := served(t, c, nil)
	ch := c.dial()
	if err := c.declare(ch); err != nil {
		t.Fatal(err)
	}
	// As oslo.messaging names it; the cloud's name keeps other tests out.
	queue := c.name + ".notifications.info"
	if _, err := ch.QueueDeclare(queue, false, true, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind(queue, "notifications.info", c.exchange("nova"), false, nil); err != nil {
		t.Fatal(err)
	}
	deliveries, err := ch.Consume(queue, "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	var seen atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range deliveries {
			seen.Add(1)
		}
	}()
	rs := recordings(t, "config-drive")
	var unversioned int64
	for _, r := range rs {
		if r.RoutingKey == "notifications.info" {
			unversioned++
		}
	}
	c.publish(rs...)
	eventually(t, "the consumer has all", func() bool { return s.has(expected(t, rs)) })
	eventually(t, "the other one has all of its", func() bool { return seen.Load() == unversioned })
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	<-ended
}

// The broker sends as many messages ahead as Prefetch says, which are worked on
// at once, and no more.
func TestPrefetch(t *testing.T) {
	t.Parallel()
	const prefetch = 3
	c := newCloud(t, rabbitlab.Shared(t))
	var now, most atomic.Int64
	enough := make(chan struct{})
	s := served(t, c, func(cfg *openstack.ConsumerConfig, s *service) {
		cfg.Prefetch = prefetch
		record := cfg.Record
		cfg.Record = func(ctx context.Context, ds []quarantine.Deletion) error {
			n := now.Add(1)
			defer now.Add(-1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			select {
			case <-enough:
			case <-ctx.Done():
				return ctx.Err()
			}
			return record(ctx, ds)
		}
	})
	rs := recordings(t, "force-delete")
	c.publish(rs...)
	eventually(t, "messages are worked on at once", func() bool { return now.Load() == prefetch })
	close(enough)
	eventually(t, "all is recorded", func() bool { return s.has(expected(t, rs)) })
	if most.Load() != prefetch {
		t.Errorf("%d at once, want %d", most.Load(), prefetch)
	}
}

// When the consumer is stopped, what has begun is recorded and acknowledged,
// and what has not stays in the queue.
func TestStopFinishes(t *testing.T) {
	t.Parallel()
	c := newCloud(t, rabbitlab.Shared(t))
	begun, goOn := make(chan struct{}, 1), make(chan struct{})
	s := served(t, c, func(cfg *openstack.ConsumerConfig, s *service) {
		cfg.Prefetch = 1
		record := cfg.Record
		cfg.Record = func(ctx context.Context, ds []quarantine.Deletion) error {
			begun <- struct{}{}
			<-goOn
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return record(ctx, ds)
		}
	})
	rs := recordings(t, "volume-create-delete")
	start, end := rs[2], rs[3]
	c.publish(start, end)
	<-begun
	stopped := make(chan struct{})
	go func() { defer close(stopped); s.stop() }()
	eventually(t, "it is stopping", func() bool { return !s.Up() })
	close(goOn)
	<-stopped
	if !s.has(expected(t, []recorded{start})) {
		t.Errorf("recorded %+v", s.deletions())
	}
	if n := length(t, c.dial(), c.name); n != 1 {
		t.Errorf("%d messages in the queue, want the one that had not begun", n)
	}
}

// When Nova told of a server last is known apart from what Cinder says.
func TestServersHeard(t *testing.T) {
	t.Parallel()
	c := newCloud(t, rabbitlab.Shared(t))
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	s := served(t, c, func(cfg *openstack.ConsumerConfig, _ *service) {
		cfg.Clock = quarantine.Clock(func() time.Time { return at })
	})
	volumes := recordings(t, "volume-create-delete")
	c.publish(volumes...)
	eventually(t, "Cinder is heard", func() bool { return s.has(expected(t, volumes)) })
	if heard := s.ServersHeard(); !heard.IsZero() {
		t.Errorf("a server was heard of at %s", heard)
	}
	c.publish(recorded{Exchange: "nova", RoutingKey: "notifications.info", Body: json.RawMessage(
		`{"oslo.version":"2.0","oslo.message":"{\"event_type\":\"compute.instance.exists\",\"payload\":{}}"}`)})
	eventually(t, "Nova is heard", func() bool { return s.ServersHeard().Equal(at) })
}
