package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	rabbitlab "quarantine/integration/rabbitmq"
	"quarantine/internal/quarantine"
)

// The server and the volume of the demo's notifications, which were recorded
// on a real cloud.
const (
	recordedServer = "4f4d0436-ae4c-4033-a285-d2bf905cf3bc"
	recordedVolume = "1469e6b1-5a51-479c-8c18-f98828331200"
)

// Notifications of a real cloud, over a real broker, give the disks their
// machine's identity: when they come before the removal, and when they wait on
// the queue for a daemon that was killed.
func TestNotificationsOverTheBus(t *testing.T) {
	t.Parallel()
	broker := rabbitlab.New(t, rabbitlab.Options{})
	s := newSite(t, siteOptions{clouds: fmt.Sprintf("  - {name: os, type: openstack, notifications: {urls: [%q]}}\n", broker.URL())})
	p := s.start()
	eventually(t, "the bus is connected", func() error {
		st, err := p.Status(t.Context())
		if err != nil {
			return err
		}
		if len(st.Listeners) != 1 || !st.Listeners[0].Up {
			return fmt.Errorf("listeners: %+v", st.Listeners)
		}
		return nil
	})
	root := s.image(recordedServer + "_disk")
	publish(t, broker.URL(), "nova", "*instance.delete.start.json")
	s.remove(recordedServer + "_disk")
	check := func(p *process, name string, want []byte, project string) {
		t.Helper()
		eventually(t, name+" is explained", func() error {
			for _, d := range p.disks(quarantine.Quarantined) {
				if d.OriginalName != name {
					continue
				}
				if !d.Explained || d.ProjectID != project {
					return fmt.Errorf("%+v", d)
				}
				same(t, name, p.bytesOf(d.ID), want)
				return nil
			}
			return fmt.Errorf("it is not quarantined")
		})
	}
	const project = "66f0ec40578f42989c828028fd1ab76e"
	check(p, recordedServer+"_disk", root, project)
	disks := p.disks(quarantine.Quarantined)
	if d := disks[0]; !slices.Contains(d.Addresses, "10.77.0.11") || d.ResourceName == "" || d.Role != "root" {
		t.Errorf("the server's disk: %+v", d)
	}
	p.kill()
	volume := s.image("volume-" + recordedVolume)
	s.remove("volume-" + recordedVolume)
	publish(t, broker.URL(), "openstack", "*volume.delete.start.json")
	p = s.start()
	check(p, "volume-"+recordedVolume, volume, project)
}

// publish sends recorded messages as the cloud's services do.
func publish(t *testing.T, url, exchange, pattern string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../../integration/demo/notifications", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded message %s (%v)", pattern, err)
	}
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, f := range files {
		body, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		key := "notifications.info"
		if !strings.Contains(f, "compute.") && exchange == "nova" {
			key = "versioned_notifications.info"
		}
		// Mandatory: a message that no queue takes comes back, and is lost.
		conf, err := ch.PublishWithDeferredConfirmWithContext(ctx, exchange, key, true, false, amqp.Publishing{ContentType: "application/json", DeliveryMode: amqp.Persistent, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := conf.WaitContext(ctx); err != nil || !ok {
			t.Fatalf("publish %s: confirmed %v, %v", f, ok, err)
		}
	}
}
