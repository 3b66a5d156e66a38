package rabbitlab_test

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	rabbitlab "quarantine/integration/rabbitmq"
	"quarantine/internal/openstack"
	"quarantine/internal/quarantine"
)

// A broker that crashes, and one that is restarted in order, lose nothing that
// they had confirmed: it is recorded in the end, and the consumer has bound
// its queue again to the exchanges, which did not survive.
func TestBrokerRestarts(t *testing.T) {
	t.Parallel()
	for _, queueType := range []string{"classic", "quorum"} {
		t.Run(queueType, func(t *testing.T) {
			t.Parallel()
			lab := rabbitlab.New(t, rabbitlab.Options{})
			c := newCloud(t, lab)
			typed := func(cfg *openstack.ConsumerConfig, _ *service) { cfg.QueueType = queueType }
			s := served(t, c, typed)
			rs := recordings(t, "normal-delete", "rebuild", "volume-snapshot", "soft-delete-restore-force")
			third := len(rs) / 3
			c.publish(rs[:third]...)

			// In order, under a running consumer. (And first, because RabbitMQ
			// 3.10 forgets a quorum queue that was made just before a crash.)
			if err := lab.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the consumer noticed", func() bool { return slices.Equal(s.states(), []bool{true, false, true}) })
			c.publish(rs[third]) // fails if the queue is not bound

			// Crash, with messages in the queue that nobody has seen.
			s.stop()
			c.publish(rs[third+1 : 2*third]...)
			if err := lab.Kill(); err != nil {
				t.Fatal(err)
			}
			s2 := serve(t, c, typed)
			eventually(t, "it says that there is no broker", func() bool { return s2.lines("not connected") > 0 })
			if s2.Up() {
				t.Error("up, without a broker")
			}
			if err := lab.Up(t.Context()); err != nil {
				t.Fatal(err)
			}
			s2.wait(t)
			c.publish(rs[2*third:]...)
			want := expected(t, rs)
			eventually(t, "all that was confirmed is recorded", func() bool {
				got := s.deletions()
				for _, d := range s2.deletions() {
					add(got, d)
				}
				return maps.EqualFunc(got, want, quarantine.Deletion.Equal)
			})
		})
	}
}

// A broker that hangs is left, and found again when it goes on.
func TestBrokerHangs(t *testing.T) {
	t.Parallel()
	lab := rabbitlab.New(t, rabbitlab.Options{})
	c := newCloud(t, lab)
	s := served(t, c, nil)
	if err := lab.Pause(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the heartbeats miss it", func() bool { return !s.Up() })
	if err := lab.Resume(); err != nil {
		t.Fatal(err)
	}
	s.wait(t)
	rs := recordings(t, "volume-create-delete")
	c.publish(rs...)
	eventually(t, "messages flow", func() bool { return s.has(expected(t, rs)) })
}

// The queue deleted under the consumer is made again.
func TestQueueDeleted(t *testing.T) {
	t.Parallel()
	c := newCloud(t, rabbitlab.Shared(t))
	s := served(t, c, nil)
	if _, err := c.dial().QueueDelete(c.name, false, false, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it says so", func() bool { return s.lines("cancelled the consumer") == 1 })
	s.wait(t)
	rs := recordings(t, "volume-create-delete")
	c.publish(rs...)
	eventually(t, "messages flow", func() bool { return s.has(expected(t, rs)) })
}

// An exchange that is deleted, and its bindings with it, is bound again
// without a reconnect.
func TestExchangeDeleted(t *testing.T) {
	t.Parallel()
	c := newCloud(t, rabbitlab.Shared(t))
	s := served(t, c, func(cfg *openstack.ConsumerConfig, _ *service) { cfg.Rebind = 100 * time.Millisecond })
	rs := recordings(t, "volume-create-delete")
	// One that goes while the queue is just being bound to it ends the channel; not each
	// time.
	for before, tries := -1, 0; before != len(s.states()); tries++ {
		if tries == 5 {
			t.Fatalf("connections went up and down: %v", s.states())
		}
		s.wait(t)
		before = len(s.states())
		if err := c.dial().ExchangeDelete(c.exchange("openstack"), false, false); err != nil {
			t.Fatal(err)
		}
		p := c.publisher()
		eventually(t, "the queue is bound again", func() bool { return p.send(t.Context(), rs[0]) == nil })
	}
	c.publish(rs[1:]...)
	eventually(t, "messages flow", func() bool { return s.has(expected(t, rs)) })
}

// Exchanges and queues that are there in another form are used as they are.
func TestDeclaredOtherwise(t *testing.T) {
	t.Parallel()
	c := newCloud(t, rabbitlab.Shared(t))
	ch := c.dial()
	if err := ch.ExchangeDeclare(c.exchange("nova"), "topic", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	for _, queue := range []string{c.name, c.name + ".dead"} {
		if _, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-max-length": int64(100000)}); err != nil {
			t.Fatal(err)
		}
	}
	s := served(t, c, nil)
	if n := s.lines("declared with other arguments"); n != 2 {
		t.Errorf("%d warnings, want one for each queue", n)
	}
	rs := recordings(t, "volume-create-delete", "shelve-offload-delete")
	p := c.confirmed(ch)
	for _, r := range rs {
		if err := p.send(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "messages flow", func() bool { return s.has(expected(t, rs)) })
}

// The brokers are tried in turn.
func TestSecondBroker(t *testing.T) {
	t.Parallel()
	c := newCloud(t, rabbitlab.Shared(t))
	s := served(t, c, func(cfg *openstack.ConsumerConfig, _ *service) {
		cfg.URLs = append([]string{"amqp://guest:guest@127.0.0.1:1/"}, cfg.URLs...)
	})
	if n := s.lines("not connected"); n != 0 {
		t.Errorf("%d complaints, though a broker was found in the first round", n)
	}
}

// A wrong password: down, said once for each attempt and ever less often, with
// the broker's reason and without the password.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	c := newCloud(t, rabbitlab.Shared(t))
	began := time.Now()
	s := serve(t, c, func(cfg *openstack.ConsumerConfig, _ *service) {
		u, err := url.Parse(cfg.URLs[0])
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword("guest", "hunter2")
		cfg.URLs = []string{u.String()}
	})
	eventually(t, "three attempts", func() bool { return s.lines("not connected") == 3 })
	// After the first 0.5 s, after the second 1 s, less a fifth of it.
	if took := time.Since(began); took < 1200*time.Millisecond {
		t.Errorf("three attempts in %s", took)
	}
	if s.Up() {
		t.Error("up")
	}
	log := s.logged()
	if !strings.Contains(log, "403") || !strings.Contains(log, c.lab.Address()) {
		t.Errorf("the log names neither reason nor broker:\n%s", log)
	}
	if strings.Contains(log, "hunter2") {
		t.Errorf("the log has the password:\n%s", log)
	}
}

// A broker that closes the channel, because messages have been in hand for
// longer than it allows (consumer_timeout), gives them again on the next one:
// an outage of the catalog that outlasts it loses nothing.
func TestConsumerTimeout(t *testing.T) {
	t.Parallel()
	lab := rabbitlab.New(t, rabbitlab.Options{
		Config: []string{"consumer_timeout = 2000"},
		Files:  map[string][]byte{"advanced.config": []byte("[{rabbit, [{channel_tick_interval, 1000}]}].\n")},
	})
	c := newCloud(t, lab)
	s := served(t, c, func(cfg *openstack.ConsumerConfig, s *service) {
		s.fail = func(quarantine.Deletion) error { return quarantine.ErrUnavailable }
	})
	rs := recordings(t, "volume-create-delete")
	c.publish(rs...)
	eventually(t, "the channel is closed and another opened", func() bool { return len(s.states()) >= 3 })
	if s.lines("channel closed") == 0 {
		t.Errorf("the log does not say why:\n%s", s.logged())
	}
	s.setFail(nil)
	eventually(t, "all is recorded", func() bool { return s.has(expected(t, rs)) })
	if n := length(t, c.dial(), c.name+".dead"); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}
