package openstack

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Role says whose a queue is.
type Role string

// The roles of queues.
const (
	RoleOwn  Role = "own"  // the consumer's
	RoleDead Role = "dead" // its dead letters
	// RoleShared is one that the services declare themselves, for whoever
	// reads it: "notifications.info" and the like. If nobody does, it grows
	// until the broker is out of memory or disk.
	RoleShared Role = "shared"
)

// Queue is what the broker says of a queue.
type Queue struct {
	Name string
	Role Role
	// Messages wait to be delivered. Those that a consumer works on are not
	// counted.
	Messages int
	// Consumers are connected now. Of an own queue it is one for each daemon
	// that shares it; one more takes messages away from them.
	Consumers int
}

// priorities are those that oslo.messaging has a queue for, if they are used.
func priorities() []string {
	return []string{"audit", "debug", "info", "warn", "error", "critical", "sample"}
}

// Queues tells of the consumer's queues and of the shared ones beside them,
// those that exist. It asks on a connection of its own, whether or not Run
// works; the brokers are tried in turn. It changes nothing on the broker.
func (c *Consumer) Queues(ctx context.Context) ([]Queue, error) {
	var errs []error
	for _, b := range c.brokers {
		qs, err := c.queuesOf(ctx, b)
		if err == nil {
			return qs, nil
		}
		errs = append(errs, fmt.Errorf("broker %s: %w", b.address, err))
	}
	return nil, fmt.Errorf("look at the queues of %s: %w", c.cfg.Cloud, errors.Join(errs...))
}

func (c *Consumer) queuesOf(ctx context.Context, b broker) ([]Queue, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := c.connect(ctx, b)
	if err != nil {
		return nil, err
	}
	defer conn.end()
	defer context.AfterFunc(ctx, func() { conn.socket.Close() })()

	ask := []Queue{{Name: c.cfg.Queue, Role: RoleOwn}, {Name: c.deadName(), Role: RoleDead}}
	for _, topic := range [...]string{"notifications.", "versioned_notifications."} {
		for _, p := range priorities() {
			ask = append(ask, Queue{Name: topic + p, Role: RoleShared})
		}
	}
	var qs []Queue
	for _, q := range ask {
		found, err := inspect(conn.Connection, q.Name)
		switch {
		case failedWith(err, amqp.NotFound):
		case err != nil:
			return nil, fmt.Errorf("inspect queue %s: %w", q.Name, err)
		default:
			q.Messages, q.Consumers = found.Messages, found.Consumers
			qs = append(qs, q)
		}
	}
	return qs, nil
}

// sample counts the messages in the consumer's queue for the Observer.
func (c *Consumer) sample(conn *amqp.Connection) error {
	if c.cfg.Observer == nil {
		return nil
	}
	q, err := inspect(conn, c.cfg.Queue)
	if err != nil {
		return fmt.Errorf("inspect queue %s: %w", c.cfg.Queue, err)
	}
	c.cfg.Observer.Backlog(q.Messages)
	return nil
}

// inspect asks for a queue. The broker answers 404 if there is none.
func inspect(conn *amqp.Connection, name string) (q amqp.Queue, err error) {
	err = onChannel(conn, func(ch *amqp.Channel) error {
		q, err = ch.QueueDeclarePassive(name, true, false, false, false, nil)
		return err
	})
	return q, err
}
