package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"quarantine/internal/metrics"
	"quarantine/internal/openstack"
)

// bus is a connection to one of a cloud's message buses.
type bus struct {
	name     string // the cloud's, and the bus's where it has several
	cloud    string
	consumer *openstack.Consumer
}

// wireBuses makes a consumer for each message bus of each cloud.
func (d *daemon) wireBuses(m *metrics.Metrics) error {
	for _, cloud := range d.cfg.Clouds {
		if cloud.Events != "" {
			if err := d.wireEvents(&cloud, m); err != nil {
				return fmt.Errorf("events of cloud %s: %w", cloud.Name, err)
			}
		}
		for _, n := range cloud.Notifications {
			name := cloud.Name
			if len(cloud.Notifications) > 1 {
				name += "/" + n.Name
			}
			c, err := d.newBus(cloud.Name, &n, m)
			if err != nil {
				return fmt.Errorf("notifications of cloud %s: %w", name, err)
			}
			d.buses = append(d.buses, bus{name, cloud.Name, c})
			d.components = append(d.components, component{name: "notifications of " + name, intake: true, run: c.Run})
		}
	}
	return nil
}

func (d *daemon) newBus(cloud string, n *notificationsConfig, m *metrics.Metrics) (*openstack.Consumer, error) {
	urls, err := n.urls()
	if err != nil {
		return nil, err
	}
	tlsConfig, err := n.tls()
	if err != nil {
		return nil, err
	}
	return openstack.NewConsumer(openstack.ConsumerConfig{
		Cloud: cloud, URLs: urls, Exchanges: n.Exchanges, Queue: n.Queue, QueueType: n.QueueType, DeliveryLimit: n.DeliveryLimit, Prefetch: n.Prefetch,
		TLS: tlsConfig, Record: d.services.recorder.Record, Log: d.log.With("component", "notifications", "cloud", cloud, "bus", n.Name),
		Clock: d.clock, Observer: busObserver{cloud, n.Name, m},
	})
}

// busObserver adds the names of cloud and bus to what a consumer tells.
type busObserver struct {
	cloud, bus string
	m          *metrics.Metrics
}

func (o busObserver) Received(result string, lag time.Duration) {
	o.m.Notification(o.cloud, result, lag)
}

func (o busObserver) Connected(up bool) { o.m.BusConnected(o.cloud, o.bus, up) }

func (o busObserver) Backlog(messages int) { o.m.BusBacklog(o.cloud, o.bus, messages) }

func (d *daemon) busStates() map[string]bool {
	states := map[string]bool{}
	for _, b := range d.buses {
		states[b.name] = b.consumer.Up()
	}
	for _, e := range d.events {
		states[e.cloud] = e.bus.Up()
	}
	return states
}

// urls returns the broker's addresses, from the configuration and from the
// file that keeps passwords out of it.
func (n *notificationsConfig) urls() ([]string, error) {
	urls := append([]string{}, n.URLs...)
	if n.URLFile != "" {
		b, err := os.ReadFile(n.URLFile)
		if err != nil {
			return nil, fmt.Errorf("read the broker's addresses: %w", err)
		}
		urls = append(urls, strings.Fields(string(b))...)
	}
	if len(urls) == 0 {
		return nil, errors.New("neither urls nor url_file names a broker")
	}
	return urls, nil
}

// tls is nil when nothing about TLS is configured: amqps:// URLs are then
// checked against the system's certificates.
func (n *notificationsConfig) tls() (*tls.Config, error) {
	if n.CACert == "" && n.ClientCert == "" && n.ClientKey == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if n.CACert != "" {
		pem, err := os.ReadFile(n.CACert)
		if err != nil {
			return nil, fmt.Errorf("read ca_cert: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_cert %s holds no certificate", n.CACert)
		}
	}
	if n.ClientCert != "" || n.ClientKey != "" {
		pair, err := tls.LoadX509KeyPair(n.ClientCert, n.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("read client_cert and client_key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
