package openstack

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"quarantine/internal/quarantine"
)

// ConsumerConfig says where a cloud's notifications are, and who takes them.
type ConsumerConfig struct {
	// Cloud is the configured name of the cloud.
	Cloud string
	// URLs are the brokers of one cluster, amqp:// or amqps://. They are tried
	// in turn.
	URLs []string
	// Exchanges are where the services publish; default nova, openstack (it is
	// Cinder's) and glance. One that does not exist is made as the services make
	// it, if the user of the broker may; else it is bound when it exists.
	Exchanges []string
	// Queue is the consumer's own queue; default "quarantine." and the cloud.
	// What cannot be read goes to <Queue>.dead, through an exchange of the same
	// name; the last 10,000 such messages are kept.
	//
	// The queue is durable and not bounded: it keeps what comes while the
	// service is down. An operator who wants a bound sets it as a policy of the
	// broker (max-length-bytes), and deletes the queue when the service is
	// given up.
	Queue string
	// QueueType is classic (default) or quorum. A queue that is there already
	// is used whatever its type.
	QueueType string
	// DeliveryLimit is how often a quorum queue delivers a message again before
	// it gives it to the dead-letter queue: one that brings the service down
	// each time must not do so for ever. Default 200. A message is not given
	// back while Record fails, so a catalog that is away costs no deliveries
	// but those after RabbitMQ's consumer_timeout, one in 30 minutes; 200 are
	// four days. A classic queue has no such limit.
	DeliveryLimit int
	// Prefetch is how many messages the broker sends ahead; default 1024. Up to
	// 64 of them are recorded at once.
	Prefetch int
	// TLS is for amqps:// URLs; nil checks the brokers against the system's
	// certificates.
	TLS *tls.Config
	// Rebind is how often the bindings are made sure of while connected: the
	// services' exchanges are not durable, and whoever deletes one takes the
	// bindings with it, without a word to the consumer. Default one minute.
	Rebind time.Duration
	// Sample is how often the messages that wait in the queue are counted, for
	// the Observer; default 15 seconds.
	Sample time.Duration
	// Record commits Deletions. A message is acknowledged only when it returned
	// nil. An error that wraps quarantine.ErrInvalid sends the message to the
	// dead-letter queue; after any other it is called again.
	Record func(ctx context.Context, ds []quarantine.Deletion) error
	Log    *slog.Logger
	Clock  quarantine.Clock
	// Observer may be nil.
	Observer ConsumerObserver
}

// ConsumerObserver is told of what happens, for metrics. Its methods return at
// once and may be called by many goroutines.
type ConsumerObserver interface {
	// Received tells what became of a message: "recorded", "ignored" (it
	// reports no deletion) or "invalid" (dead-lettered); and "failed" for each
	// call of Record in vain. lag is the time from the event to the record, by
	// the clocks of the cloud and of this host; zero unless recorded: for the
	// time of a message that is ignored all of it would have to be read. How
	// far behind the consumer is while nothing is deleted, Backlog tells.
	Received(result string, lag time.Duration)
	// Backlog tells how many messages waited in the consumer's queue, without
	// those that are being worked on.
	Backlog(messages int)
	// Connected tells that messages flow, or flow no longer.
	Connected(up bool)
}

// Results, as ConsumerObserver.Received is told them.
const (
	resultRecorded = "recorded"
	resultIgnored  = "ignored"
	resultInvalid  = "invalid"
	resultFailed   = "failed"
)

// Queue types.
const (
	queueClassic = "classic"
	queueQuorum  = "quorum"
)

const (
	defaultPrefetch      = 1024
	defaultRebind        = time.Minute
	defaultSample        = 15 * time.Second
	defaultDeliveryLimit = 200
	maxPrefetch          = 65535 // AMQP has 16 bits for it
	// A lost connection is tried again after reconnectMin, then after twice
	// that, up to reconnectMax; anew after one that held stableAfter.
	reconnectMin = 500 * time.Millisecond
	reconnectMax = 30 * time.Second
	stableAfter  = time.Minute
)

// Consumer takes a cloud's notifications from RabbitMQ.
//
// It has a queue of its own. The queues that the services declare themselves
// are left alone: a second consumer on those would take messages away from
// whoever else reads them.
//
// The client library's own recovery is not used: it knows one broker only, and
// gives up when a declaration fails; here every connection declares anew.
type Consumer struct {
	cfg     ConsumerConfig
	brokers []broker
	up      atomic.Bool
	retry   retry
	// servers is when an event about a server came last, in Unix nanoseconds;
	// 0: none yet.
	servers atomic.Int64
	missing missing
}

// broker is one of the URLs. The URL has a password; only the address is
// logged.
type broker struct{ url, address string }

// NewConsumer checks the configuration; Run works. The error wraps
// quarantine.ErrInvalid.
func NewConsumer(cfg ConsumerConfig) (*Consumer, error) {
	switch {
	case cfg.Cloud == "":
		return nil, misconfigured("no cloud")
	case cfg.Record == nil || cfg.Log == nil || cfg.Clock == nil:
		return nil, misconfigured("Record, Log and Clock are needed")
	case len(cfg.URLs) == 0:
		return nil, misconfigured("no broker")
	case cfg.Prefetch < 0 || cfg.Prefetch > maxPrefetch:
		return nil, misconfigured("prefetch %d is not between 0 and %d", cfg.Prefetch, maxPrefetch)
	case cfg.Rebind < 0 || cfg.Sample < 0:
		return nil, misconfigured("rebind %s or sample %s is negative", cfg.Rebind, cfg.Sample)
	case cfg.DeliveryLimit < 0:
		return nil, misconfigured("delivery limit %d is negative", cfg.DeliveryLimit)
	}
	switch cfg.QueueType {
	case "":
		cfg.QueueType = queueClassic
	case queueClassic, queueQuorum:
	default:
		return nil, misconfigured("queue type %q is neither %s nor %s", cfg.QueueType, queueClassic, queueQuorum)
	}
	if len(cfg.Exchanges) == 0 {
		cfg.Exchanges = []string{"nova", "openstack", "glance"}
	}
	cfg.Queue = cmp.Or(cfg.Queue, "quarantine."+cfg.Cloud)
	cfg.Prefetch = cmp.Or(cfg.Prefetch, defaultPrefetch)
	cfg.Rebind = cmp.Or(cfg.Rebind, defaultRebind)
	cfg.Sample = cmp.Or(cfg.Sample, defaultSample)
	cfg.DeliveryLimit = cmp.Or(cfg.DeliveryLimit, defaultDeliveryLimit)
	c := &Consumer{cfg: cfg, retry: newRetry()}
	for i, url := range cfg.URLs {
		uri, err := amqp.ParseURI(url)
		if err != nil {
			return nil, misconfigured("URL %d is not of the form amqp://user:password@host:port/vhost", i+1) // err may hold the password
		}
		if cfg.TLS != nil && uri.Scheme != "amqps" {
			return nil, misconfigured("URL %d is not amqps://, but TLS is configured", i+1)
		}
		c.brokers = append(c.brokers, broker{url, net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))})
	}
	return c, nil
}

// Up reports whether messages flow just now.
func (c *Consumer) Up() bool { return c.up.Load() }

// ServersHeard is when an event of Nova's about a server came last, by
// ConsumerConfig.Clock; zero if none did yet. Other services, and what else Nova
// reports, do not count: whoever compares it with the servers that were deleted
// finds out whether Nova is mute.
func (c *Consumer) ServersHeard() time.Time {
	if ns := c.servers.Load(); ns != 0 {
		return time.Unix(0, ns).UTC()
	}
	return time.Time{}
}

func (c *Consumer) heardOfServer() { c.servers.Store(c.cfg.Clock().UnixNano()) }

// MissingExchanges are those of ConsumerConfig.Exchanges that did not exist when
// they were looked for last, and that the user of the broker may not make.
// What is published there is not heard of until the first look after the
// exchange was made (ConsumerConfig.Rebind).
func (c *Consumer) MissingExchanges() []string { return c.missing.names() }

// Run takes messages until ctx ends; then it finishes those in work,
// acknowledges them, and returns nil. It survives whatever the brokers do.
func (c *Consumer) Run(ctx context.Context) error {
	var pause time.Duration
	var errs []error
	for next := 0; ; next++ {
		b := c.brokers[next%len(c.brokers)]
		began := c.cfg.Clock()
		wasUp, err := c.session(ctx, b)
		if ctx.Err() != nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("broker %s: %w", b.address, err))
		if !wasUp && len(errs) < len(c.brokers) {
			continue // the others first
		}
		if wasUp && c.cfg.Clock().Sub(began) >= stableAfter {
			pause = 0
		}
		pause = longer(pause, reconnectMin, reconnectMax)
		c.cfg.Log.Error("no notifications: the message bus is not connected", "queue", c.cfg.Queue, "error", errors.Join(errs...), "retry_in", pause)
		errs = nil
		if !sleep(ctx, jitter(pause)) {
			return nil
		}
	}
}

func (c *Consumer) setUp(up bool) {
	if c.up.Swap(up) != up && c.cfg.Observer != nil {
		c.cfg.Observer.Connected(up)
	}
}

func (c *Consumer) received(result string, lag time.Duration) {
	if c.cfg.Observer != nil {
		c.cfg.Observer.Received(result, lag)
	}
}

// longer doubles a pause between the bounds.
func longer(pause, least, most time.Duration) time.Duration {
	return min(max(2*pause, least), most)
}

// jitter varies a pause by a fifth, so that many clients do not come back to a
// restarted broker in step.
func jitter(pause time.Duration) time.Duration {
	return time.Duration(float64(pause) * (0.8 + 0.4*rand.Float64()))
}

// sleep waits and reports true, or false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func misconfigured(format string, args ...any) error {
	return fmt.Errorf("%w message bus: %s", quarantine.ErrInvalid, fmt.Sprintf(format, args...))
}
