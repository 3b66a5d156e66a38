package rabbitlab_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	rabbitlab "quarantine/integration/rabbitmq"
)

// cloud stands for the services that publish. Its exchanges have names of
// their own, so that tests can share a broker.
type cloud struct {
	t    testing.TB
	lab  *rabbitlab.Lab
	name string
	// vhost is the virtual host as a URL has it, empty for the default one.
	vhost string
}

func newCloud(t testing.TB, lab *rabbitlab.Lab) cloud {
	return cloud{t: t, lab: lab, name: strings.ReplaceAll(t.Name(), "/", ".")}
}

// exchange names the cloud's own exchange for one of the recorded ones.
func (c cloud) exchange(recorded string) string { return c.name + "." + recorded }

// exchanges is what the consumer is configured with.
func (c cloud) exchanges() []string {
	return []string{c.exchange("nova"), c.exchange("openstack"), c.exchange("glance")}
}

// url is where the cloud's services publish.
func (c cloud) url() string { return c.lab.URL() + c.vhost }

// dial opens a channel for the length of the test.
func (c cloud) dial() *amqp.Channel {
	c.t.Helper()
	conn, err := amqp.Dial(c.url())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() }) // it may be gone with the broker
	ch, err := conn.Channel()
	if err != nil {
		c.t.Fatal(err)
	}
	return ch
}

// declare makes the exchanges as oslo.messaging does.
func (c cloud) declare(ch *amqp.Channel) error {
	for _, e := range c.exchanges() {
		if err := ch.ExchangeDeclare(e, "topic", false, false, false, false, nil); err != nil {
			return err
		}
	}
	return nil
}

// publish sends messages as the services do, and returns when the broker has
// them in a queue.
func (c cloud) publish(rs ...recorded) {
	c.t.Helper()
	p := c.publisher()
	for _, r := range rs {
		if err := p.send(c.t.Context(), r); err != nil {
			c.t.Fatal(err)
		}
	}
}

var errUnroutable = errors.New("no queue is bound")

// publisher publishes with confirms.
type publisher struct {
	cloud
	ch       *amqp.Channel
	returned chan amqp.Return
}

func (c cloud) publisher() *publisher {
	c.t.Helper()
	ch := c.dial()
	if err := c.declare(ch); err != nil {
		c.t.Fatal(err)
	}
	return c.confirmed(ch)
}

// confirmed publishes on the channel to the exchanges that there are.
func (c cloud) confirmed(ch *amqp.Channel) *publisher {
	c.t.Helper()
	if err := ch.Confirm(false); err != nil {
		c.t.Fatal(err)
	}
	return &publisher{c, ch, ch.NotifyReturn(make(chan amqp.Return, 1))}
}

// send returns nil when the broker confirmed the message and has it in a queue
// of somebody's.
func (p *publisher) send(ctx context.Context, r recorded) error {
	confirm, err := p.ch.PublishWithDeferredConfirmWithContext(ctx, p.exchange(r.Exchange), r.RoutingKey, true, false, amqp.Publishing{
		ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp.Persistent, Body: r.Body,
	})
	if err != nil {
		return err
	}
	acked, err := confirm.WaitContext(ctx)
	if err != nil {
		return err
	}
	if !acked {
		return errors.New("the broker refused it")
	}
	select {
	case <-p.returned:
		return errUnroutable
	default:
		return nil
	}
}

// length is how many messages wait in a queue.
func length(t testing.TB, ch *amqp.Channel, queue string) int {
	t.Helper()
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q.Messages
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	limit := time.NewTimer(2 * time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("it did not happen: %s", what)
		}
	}
}
