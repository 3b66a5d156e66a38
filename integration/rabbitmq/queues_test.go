package rabbitlab_test

import (
	"slices"
	"testing"
	"time"

	rabbitlab "quarantine/integration/rabbitmq"
	"quarantine/internal/openstack"
	"quarantine/internal/quarantine"
)

// What an operator must know of the queues is found, whether or not the
// consumer runs: who else takes from the own queue, how many dead letters
// there are, and the services' own queue that nobody empties; and queues that
// are not there are not made.
func TestQueues(t *testing.T) {
	t.Parallel()
	lab := rabbitlab.New(t, rabbitlab.Options{}) // the shared queues' names are fixed
	c := newCloud(t, lab)
	s := served(t, c, func(cfg *openstack.ConsumerConfig, _ *service) {
		cfg.URLs = append([]string{"amqp://guest:guest@127.0.0.1:1/"}, cfg.URLs...)
	})
	ch := c.dial()
	if err := c.declare(ch); err != nil {
		t.Fatal(err)
	}
	const shared = "notifications.info"
	if _, err := ch.QueueDeclare(shared, false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind(shared, shared, c.exchange("openstack"), false, nil); err != nil {
		t.Fatal(err)
	}
	rs := recordings(t, "volume-create-delete")
	c.publish(append(rs, poison)...)
	eventually(t, "all is recorded", func() bool { return s.has(expected(t, rs)) && s.count("invalid") == 1 })
	thief, err := ch.Consume(c.name, "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []openstack.Queue{
		{Name: c.name, Role: openstack.RoleOwn, Consumers: 2},
		{Name: c.name + ".dead", Role: openstack.RoleDead, Messages: 1},
		{Name: shared, Role: openstack.RoleShared, Messages: len(rs)},
	}
	look := func() []openstack.Queue {
		qs, err := s.Queues(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return qs
	}
	eventually(t, "the broker counts", func() bool { return slices.Equal(look(), want) })

	s.stop()
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	for range thief {
		t.Error("a message that nobody published")
	}
	c.publish(rs[:2]...)
	want[0].Consumers, want[0].Messages, want[2].Messages = 0, 2, len(rs)+2
	eventually(t, "the broker counts what waits", func() bool { return slices.Equal(look(), want) })

	if err := lab.Down(); err != nil {
		t.Fatal(err)
	}
	if qs, err := s.Queues(t.Context()); err == nil {
		t.Errorf("without a broker: %+v", qs)
	}
}

// The messages that wait for a consumer which is busy are counted again and
// again; those in work are not among them.
func TestBacklog(t *testing.T) {
	t.Parallel()
	c := newCloud(t, rabbitlab.Shared(t))
	const prefetch = 2
	s := served(t, c, func(cfg *openstack.ConsumerConfig, s *service) {
		cfg.Prefetch, cfg.Sample = prefetch, 20*time.Millisecond
		s.fail = func(quarantine.Deletion) error { return quarantine.ErrUnavailable }
	})
	rs := recordings(t, "volume-create-delete")
	var deletes []recorded
	for range 5 {
		deletes = append(deletes, rs[2])
	}
	c.publish(deletes...)
	eventually(t, "what waits is counted", func() bool { return slices.Contains(s.backlogs(), len(deletes)-prefetch) })
	s.setFail(nil)
	eventually(t, "nothing waits any more", func() bool { b := s.backlogs(); return b[len(b)-1] == 0 })
}
