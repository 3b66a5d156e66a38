package rabbitlab_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	rabbitlab "quarantine/integration/rabbitmq"
	"quarantine/internal/openstack"
)

// What the README has an operator allow the service's user on the broker.
const (
	mayConfigure = `^quarantine\.`
	mayWrite     = `^quarantine\.`
	mayRead      = `.*`
)

// restricted are definitions for a broker with the service's user beside the
// default one.
func restricted(t testing.TB) rabbitlab.Options {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if said := fmt.Sprintf("a user that may configure `%s`, write `%s`, read `%s`", mayConfigure, mayWrite, mayRead); !strings.Contains(string(readme), said) {
		t.Fatalf("the README does not say: %s", said)
	}
	type object map[string]any
	text, err := json.Marshal(object{
		"vhosts": []object{{"name": "/"}},
		"users":  []object{{"name": "guest", "password": "guest", "tags": "administrator"}, {"name": "quarantine", "password": "quarantine", "tags": ""}},
		"permissions": []object{
			{"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
			{"user": "quarantine", "vhost": "/", "configure": mayConfigure, "write": mayWrite, "read": mayRead},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rabbitlab.Options{
		Config: []string{"load_definitions = {dir}/definitions.json"},
		Files:  map[string][]byte{"definitions.json": text},
	}
}

// With the permissions that the README asks for the service has its queues and
// its dead letters, and an exchange that no service has made yet, which this
// user may not make, keeps it from nothing else: the others are heard, it is
// said once, and the exchange is bound when it comes, without a reconnect.
func TestPermissions(t *testing.T) {
	t.Parallel()
	lab := rabbitlab.New(t, restricted(t))
	for _, queueType := range []string{"classic", "quorum"} {
		t.Run(queueType, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t, lab)
			ch := c.dial()
			for _, e := range []string{"nova", "openstack"} {
				if err := ch.ExchangeDeclare(c.exchange(e), "topic", false, false, false, false, nil); err != nil {
					t.Fatal(err)
				}
			}
			queue := "quarantine." + c.name
			s := served(t, c, func(cfg *openstack.ConsumerConfig, _ *service) {
				cfg.URLs = []string{"amqp://quarantine:quarantine@" + lab.Address() + "/"}
				cfg.Queue, cfg.QueueType, cfg.Rebind = queue, queueType, 50*time.Millisecond
			})
			if got := s.MissingExchanges(); !slices.Equal(got, []string{c.exchange("glance")}) {
				t.Errorf("missing: %v", got)
			}
			rs := recordings(t, "volume-create-delete", "normal-delete")
			p := c.confirmed(ch)
			for _, r := range append(rs, poison) {
				if r.Exchange == "glance" {
					t.Fatal("a message of Glance's among the first")
				}
				if err := p.send(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the others are heard", func() bool { return s.has(expected(t, rs)) })
			eventually(t, "the dead letter is there", func() bool { return length(t, ch, queue+".dead") == 1 })

			if err := ch.ExchangeDeclare(c.exchange("glance"), "topic", false, false, false, false, nil); err != nil {
				t.Fatal(err)
			}
			image := recorded{Exchange: "glance", RoutingKey: "notifications.info", Body: json.RawMessage(
				`{"oslo.version":"2.0","oslo.message":"{\"event_type\":\"image.delete\",\"timestamp\":\"2026-11-24 12:00:00.000000\",\"payload\":{\"id\":\"77fb0ba8-42a0-4733-a444-b7ce149c4820\"}}"}`)}
			eventually(t, "the exchange is bound", func() bool { return p.send(t.Context(), image) == nil })
			eventually(t, "what is published there is heard", func() bool { return s.has(expected(t, append(rs, image))) })
			eventually(t, "it is missing no more", func() bool { return len(s.MissingExchanges()) == 0 })
			if n := s.lines("an exchange does not exist"); n != 1 {
				t.Errorf("it was said %d times", n)
			}
			if ups := s.states(); !slices.Equal(ups, []bool{true}) {
				t.Errorf("connections went up and down: %v", ups)
			}
		})
	}
}
