package openstack

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// routingKeys select all notifications of both formats, of every priority.
var routingKeys = [...]string{"notifications.*", "versioned_notifications.*"}

// maxDead bounds the dead-letter queue; the oldest give way.
const maxDead = 10000

// deadName names the dead-letter exchange and queue.
func (c *Consumer) deadName() string { return c.cfg.Queue + ".dead" }

// declare makes all that the consumer needs on the broker.
func (c *Consumer) declare(conn *amqp.Connection) error {
	dead := c.deadName()
	err := onChannel(conn, func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare(dead, amqp.ExchangeFanout, true, false, false, false, nil)
	})
	if err != nil && !failedWith(err, amqp.PreconditionFailed) { // then it is there in another form
		return fmt.Errorf("declare exchange %s: %w", dead, err)
	}
	if err := c.declareQueue(conn, dead, amqp.Table{"x-queue-type": c.cfg.QueueType, "x-max-length": int64(maxDead)}); err != nil {
		return err
	}
	err = onChannel(conn, func(ch *amqp.Channel) error { return ch.QueueBind(dead, "", dead, false, nil) })
	if err != nil {
		return fmt.Errorf("bind queue %s: %w", dead, err)
	}
	args := amqp.Table{"x-queue-type": c.cfg.QueueType, "x-dead-letter-exchange": dead}
	if c.cfg.QueueType == queueQuorum {
		args["x-delivery-limit"] = int64(c.cfg.DeliveryLimit)
	}
	if err := c.declareQueue(conn, c.cfg.Queue, args); err != nil {
		return err
	}
	return c.bind(conn)
}

// declareQueue makes a durable queue, or takes the one that is there: another
// type or other arguments are the operator's choice, and no reason to be deaf.
func (c *Consumer) declareQueue(conn *amqp.Connection, name string, args amqp.Table) error {
	err := onChannel(conn, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(name, true, false, false, false, args)
		return err
	})
	if failedWith(err, amqp.PreconditionFailed) {
		c.cfg.Log.Warn("a queue was declared with other arguments; it is used as it is", "queue", name, "difference", err)
		err = onChannel(conn, func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclarePassive(name, true, false, false, false, args)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("declare queue %s: %w", name, err)
	}
	return nil
}

// bind binds the queue to the services' exchanges. It may be repeated. One that
// does not exist and may not be made is left for the next time, and said once:
// it must not keep the others from being heard.
func (c *Consumer) bind(conn *amqp.Connection) error {
	var absent []string
	for _, exchange := range c.cfg.Exchanges {
		there, err := c.bindTo(conn, exchange)
		if failedWith(err, amqp.NotFound) {
			// Somebody deleted it after it was found; a service that starts again
			// may. That is no reason to give the connection up.
			there, err = c.bindTo(conn, exchange)
		}
		if err != nil {
			return err
		}
		if !there {
			absent = append(absent, exchange)
		}
	}
	lost, found := c.missing.replace(absent)
	for _, exchange := range lost {
		c.cfg.Log.Warn("an exchange does not exist, and this user of the broker may not make it: nothing is heard of what is published there until a service has made it",
			"exchange", exchange, "queue", c.cfg.Queue, "retry_in", c.cfg.Rebind)
	}
	for _, exchange := range found {
		c.cfg.Log.Info("an exchange that was missing is bound", "exchange", exchange, "queue", c.cfg.Queue)
	}
	return nil
}

// bindTo binds the queue to one exchange, and reports whether that exists.
func (c *Consumer) bindTo(conn *amqp.Connection, exchange string) (there bool, err error) {
	if there, err = ensureExchange(conn, exchange); err != nil {
		return false, fmt.Errorf("declare exchange %s: %w", exchange, err)
	}
	if !there {
		return false, nil
	}
	err = onChannel(conn, func(ch *amqp.Channel) error {
		for _, key := range routingKeys {
			if err := ch.QueueBind(c.cfg.Queue, key, exchange, false, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("bind queue %s to exchange %s: %w", c.cfg.Queue, exchange, err)
	}
	return true, nil
}

// ensureExchange reports whether the exchange exists. One that does is taken as
// it is; one that does not, because no service has started yet, is made as they
// make it: topic, and not durable. A user of the broker that may configure
// nothing but its own may not do that.
func ensureExchange(conn *amqp.Connection, name string) (there bool, err error) {
	err = onChannel(conn, func(ch *amqp.Channel) error {
		return ch.ExchangeDeclarePassive(name, amqp.ExchangeTopic, false, false, false, false, nil)
	})
	if failedWith(err, amqp.NotFound) {
		err = onChannel(conn, func(ch *amqp.Channel) error {
			return ch.ExchangeDeclare(name, amqp.ExchangeTopic, false, false, false, false, nil)
		})
		if failedWith(err, amqp.AccessRefused) {
			return false, nil
		}
	}
	if failedWith(err, amqp.PreconditionFailed) {
		err = nil // somebody was faster, in another form
	}
	return err == nil, err
}

// missing is the exchanges that do not exist and may not be made.
type missing struct {
	mu        sync.Mutex
	exchanges []string
}

func (m *missing) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.exchanges)
}

// replace notes which are missing now, and returns what has changed.
func (m *missing) replace(now []string) (lost, found []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range now {
		if !slices.Contains(m.exchanges, e) {
			lost = append(lost, e)
		}
	}
	for _, e := range m.exchanges {
		if !slices.Contains(now, e) {
			found = append(found, e)
		}
	}
	m.exchanges = now
	return lost, found
}

// onChannel calls f with a channel of its own, because the broker closes the
// channel on which something went wrong.
func onChannel(conn *amqp.Connection, f func(*amqp.Channel) error) error {
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	err = f(ch)
	if cerr := ch.Close(); err == nil {
		err = cerr
	}
	return err
}

// failedWith reports whether the broker answered with that code.
func failedWith(err error, code int) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Code == code
}
