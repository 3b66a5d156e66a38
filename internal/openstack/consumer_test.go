package openstack

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// TestConsumerConfig proves that a configuration that cannot work is refused
// at the start, and that its errors do not hold a password. What works is
// proved on a real broker, in integration/rabbitmq.
func TestConsumerConfig(t *testing.T) {
	t.Parallel()
	good := func() ConsumerConfig {
		return ConsumerConfig{
			Cloud: cloudName, URLs: []string{"amqp://nova:hunter2@127.0.0.1:5672/"},
			Record: func(context.Context, []quarantine.Deletion) error { return nil },
			Log:    slog.New(slog.DiscardHandler), Clock: time.Now,
		}
	}
	c, err := NewConsumer(good())
	if err != nil {
		t.Fatal(err)
	}
	if c.Up() || c.cfg.Queue != "quarantine.zed" || c.deadName() != "quarantine.zed.dead" || len(c.cfg.Exchanges) != 3 ||
		c.cfg.QueueType != queueClassic || c.cfg.Prefetch != defaultPrefetch || c.cfg.DeliveryLimit != 200 || c.cfg.Sample != 15*time.Second || c.brokers[0].address != "127.0.0.1:5672" {
		t.Errorf("defaults: %+v, brokers %+v", c.cfg, c.brokers)
	}
	for name, change := range map[string]func(*ConsumerConfig){
		"no cloud":        func(c *ConsumerConfig) { c.Cloud = "" },
		"no broker":       func(c *ConsumerConfig) { c.URLs = nil },
		"no record":       func(c *ConsumerConfig) { c.Record = nil },
		"no log":          func(c *ConsumerConfig) { c.Log = nil },
		"no clock":        func(c *ConsumerConfig) { c.Clock = nil },
		"other queue":     func(c *ConsumerConfig) { c.QueueType = "stream" },
		"other scheme":    func(c *ConsumerConfig) { c.URLs = []string{"http://nova:hunter2@127.0.0.1/"} },
		"bad port":        func(c *ConsumerConfig) { c.URLs = []string{"amqp://nova:hunter2@127.0.0.1:hunter2/"} },
		"bad escape":      func(c *ConsumerConfig) { c.URLs = []string{"amqp://nova:hunter2%zz@127.0.0.1/"} },
		"TLS unused":      func(c *ConsumerConfig) { c.TLS = &tls.Config{MinVersion: tls.VersionTLS12} },
		"much prefetch":   func(c *ConsumerConfig) { c.Prefetch = 65536 },
		"negative rebind": func(c *ConsumerConfig) { c.Rebind = -1 },
		"negative sample": func(c *ConsumerConfig) { c.Sample = -1 },
		"negative limit":  func(c *ConsumerConfig) { c.DeliveryLimit = -1 },
	} {
		cfg := good()
		change(&cfg)
		_, err := NewConsumer(cfg)
		if !errors.Is(err, quarantine.ErrInvalid) {
			t.Errorf("%s: %v, want an error that wraps ErrInvalid", name, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the password is in %q", name, err)
		}
	}
}
