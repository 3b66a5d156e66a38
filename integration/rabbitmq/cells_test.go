package rabbitlab_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	rabbitlab "quarantine/integration/rabbitmq"
	"quarantine/internal/openstack"
	"quarantine/internal/quarantine"
)

// vhosts are definitions for a broker that has, beside the default one, a
// virtual host whose name has to be written with percent signs in a URL.
func vhosts(t testing.TB, names ...string) rabbitlab.Options {
	t.Helper()
	type object map[string]any
	hosts, permissions := []object{}, []object{}
	for _, name := range append(names, "/") {
		hosts = append(hosts, object{"name": name})
		permissions = append(permissions, object{"user": "guest", "vhost": name, "configure": ".*", "write": ".*", "read": ".*"})
	}
	text, err := json.Marshal(object{
		"vhosts": hosts, "permissions": permissions,
		"users": []object{{"name": "guest", "password": "guest", "tags": "administrator"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rabbitlab.Options{
		Config: []string{"load_definitions = {dir}/definitions.json"},
		Files:  map[string][]byte{"definitions.json": text},
	}
}

// A cloud whose cells have virtual hosts of their own on the broker, one with
// a name that a URL must escape, is heard in all of them, each on a queue of
// the same name; and what is published in one is not heard in the other.
func TestCells(t *testing.T) {
	t.Parallel()
	lab := rabbitlab.New(t, vhosts(t, "nova/cell one"))
	parts := map[string][]recorded{"%2F": recordings(t, "volume-create-delete"), "nova%2Fcell%20one": recordings(t, "normal-delete")}
	got := map[string]*service{}
	for vhost, rs := range parts {
		c := newCloud(t, lab)
		c.vhost = vhost
		got[vhost] = served(t, c, func(cfg *openstack.ConsumerConfig, _ *service) { cfg.URLs = []string{c.url()} })
		c.publish(rs...)
	}
	for vhost, rs := range parts {
		s := got[vhost]
		eventually(t, "cell "+vhost+" is heard", func() bool { return s.has(expected(t, rs)) })
	}
}

// What cannot be reached is a virtual host that is not there: the log says so.
func TestNoSuchVhost(t *testing.T) {
	t.Parallel()
	c := newCloud(t, rabbitlab.Shared(t))
	c.vhost = "nova%2Fcell2"
	s := serve(t, c, func(cfg *openstack.ConsumerConfig, _ *service) { cfg.URLs = []string{c.url()} })
	eventually(t, "it is said", func() bool { return s.lines("not connected") > 0 })
	if s.Up() || !strings.Contains(s.logged(), "vhost") {
		t.Errorf("up %v, and the log does not speak of the vhost:\n%s", s.Up(), s.logged())
	}
}

// The brokers of two cells, each with a consumer, lead to one set of
// Deletions, whichever cell reports what of an act.
func TestCellsShareDeletions(t *testing.T) {
	t.Parallel()
	shared := rabbitlab.Shared(t)
	other := rabbitlab.New(t, rabbitlab.Options{})
	rs := recordings(t, "rebuild")
	a, b := newCloud(t, shared), newCloud(t, other)
	sa, sb := served(t, a, nil), served(t, b, nil)
	for i, r := range rs {
		if i%2 == 0 {
			a.publish(r)
		} else {
			b.publish(r)
		}
	}
	want := expected(t, rs)
	eventually(t, "together they have all", func() bool {
		all := sa.deletions()
		for _, d := range sb.deletions() {
			add(all, d)
		}
		return maps.EqualFunc(all, want, quarantine.Deletion.Equal)
	})
}
