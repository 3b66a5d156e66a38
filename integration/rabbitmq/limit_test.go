package rabbitlab_test

import (
	"context"
	"fmt"
	"testing"

	rabbitlab "quarantine/integration/rabbitmq"
	"quarantine/internal/openstack"
	"quarantine/internal/quarantine"
)

// A message that comes back again and again, as one does that brings the
// service down each time, ends in the dead-letter queue as it is; the messages
// beside it, which were recorded, do not.
func TestDeliveryLimit(t *testing.T) {
	t.Parallel()
	c := newCloud(t, rabbitlab.Shared(t))
	rs := recordings(t, "volume-create-delete")
	bad, good := rs[2], rs[:2]
	const limit = 2
	quorum := func(cfg *openstack.ConsumerConfig, s *service) {
		cfg.QueueType, cfg.DeliveryLimit = "quorum", limit
		s.fail = func(quarantine.Deletion) error { return context.DeadlineExceeded } // whatever it is, it does not last
	}
	served(t, c, quorum).stop()
	c.publish(bad)
	c.publish(good...)
	ch := c.dial()
	for i := range limit + 1 {
		if n := length(t, ch, c.name+".dead"); n != 0 {
			t.Fatalf("%d dead letters after %d deliveries", n, i)
		}
		s := served(t, c, quorum)
		eventually(t, "it is delivered", func() bool { return s.count("failed") > 0 })
		s.stop() // and is given back
	}
	eventually(t, "it is in the dead-letter queue", func() bool { return length(t, ch, c.name+".dead") == 1 })
	d, ok, err := ch.Get(c.name+".dead", true)
	if err != nil || !ok || string(d.Body) != string(bad.Body) {
		t.Errorf("dead letter %q (%v, %v)", d.Body, ok, err)
	}
	if n := length(t, ch, c.name); n != 0 {
		t.Errorf("%d messages are still in the queue", n)
	}
}

// A catalog that is away for more attempts than the limit has deliveries makes
// no dead letters: the consumer keeps the messages in hand meanwhile.
func TestOutageBeyondTheLimit(t *testing.T) {
	t.Parallel()
	c := newCloud(t, rabbitlab.Shared(t))
	s := served(t, c, func(cfg *openstack.ConsumerConfig, s *service) {
		cfg.QueueType, cfg.DeliveryLimit = "quorum", 1
		s.fail = func(quarantine.Deletion) error { return fmt.Errorf("catalog: %w", quarantine.ErrUnavailable) }
	})
	rs := recordings(t, "volume-create-delete") // four reports of deletions
	c.publish(rs...)
	eventually(t, "it is tried often", func() bool { return s.count("failed") >= 8 })
	s.setFail(nil)
	eventually(t, "all is recorded", func() bool { return s.has(expected(t, rs)) })
	if n := length(t, c.dial(), c.name+".dead"); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}
