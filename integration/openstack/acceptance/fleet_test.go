//go:build openstack

package acceptance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	openstacklab "quarantine/integration/openstack"
)

// serversVariable names the variable with how many servers a fleet has. The
// default is enough to have several of every kind.
const serversVariable = "SERVERS"

const defaultServers = 15

func fleetSize(t *testing.T) int {
	t.Helper()
	text := os.Getenv(serversVariable)
	if text == "" {
		return defaultServers
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no number of servers", serversVariable, text)
	}
	return n
}

// fleet is a number of alice's servers of all kinds, and what must come of
// them: every second is deleted by the administrator.
type fleet struct {
	alice, admin *openstacklab.Session
	servers      []*machine
	// volumes were attached to servers and stay when these go; they are deleted
	// by themselves.
	volumes []expected
	// began is before the first delete. The trash counts whole seconds.
	began time.Time
}

// machine is a server of a fleet.
type machine struct {
	id, name string
	ips      []string
	deleter  *openstacklab.Session
	disks    []expected
}

// expected is a disk that must be in quarantine.
type expected struct {
	image, role string
	// volume is the id of the volume, "" for a disk of the server itself.
	volume string
}

// kinds are what a fleet's servers are, in turn.
var kinds = []string{"root", "config-drive", "ephemeral", "boot-from-volume", "data-volumes"}

// atOnce is how many requests to a cloud's API a fleet has under way.
const atOnce = 16

// boot makes a fleet of n servers. It returns when all are ACTIVE and have
// their addresses.
func boot(t *testing.T, s *site, n int) *fleet {
	t.Helper()
	f := &fleet{alice: s.session(t, openstacklab.Alice()), admin: s.session(t, openstacklab.Admin())}
	quiet, err := f.alice.ImageNamed(t.Context(), openstacklab.Quiet)
	must(t, err)
	kept := make([]string, n) // the volumes that stay
	f.servers = make([]*machine, n)
	must(t, forAll(t.Context(), n, func(ctx context.Context, i int) error {
		m := &machine{name: fmt.Sprintf("%s-%d", kinds[i%len(kinds)], i), deleter: f.alice}
		if i%2 == 1 {
			m.deleter = f.admin
		}
		f.servers[i] = m
		spec := openstacklab.ServerSpec{Name: m.name, Metadata: map[string]string{"number": strconv.Itoa(i)}}
		switch kinds[i%len(kinds)] {
		case "config-drive":
			spec.ConfigDrive = true
		case "ephemeral":
			spec.Flavor = openstacklab.TE
		case "boot-from-volume":
			spec.BlockDevices = []map[string]any{
				{"boot_index": 0, "uuid": quiet.ID, "source_type": "image", "destination_type": "volume", "volume_size": 1, "delete_on_termination": true},
			}
		case "data-volumes":
			v, err := f.alice.CreateVolume(ctx, openstacklab.VolumeSpec{Name: "data-" + strconv.Itoa(i)})
			if err != nil {
				return err
			}
			kept[i] = v.ID
			spec.Image = openstacklab.Quiet
			spec.BlockDevices = []map[string]any{
				{"boot_index": 0, "uuid": quiet.ID, "source_type": "image", "destination_type": "local", "delete_on_termination": true},
				{"boot_index": -1, "source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": true},
				{"boot_index": -1, "uuid": v.ID, "source_type": "volume", "destination_type": "volume", "delete_on_termination": false},
			}
		}
		m.id, err = f.alice.BootNoWait(ctx, spec)
		return err
	}))
	f.waitActive(t)
	must(t, forAll(t.Context(), n, func(ctx context.Context, i int) error { return f.describe(ctx, f.servers[i], kept[i]) }))
	for i, id := range kept {
		if id != "" {
			f.volumes = append(f.volumes, expected{image: "volume-" + id, role: "volume", volume: id})
		}
		t.Cleanup(func() { f.clean(f.servers[i].id, id) })
	}
	return f
}

// clean deletes what a failed test has left of a server.
func (f *fleet) clean(server, volume string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := f.admin.Delete(ctx, server); err != nil {
		return // the usual: it is gone
	}
	_ = f.admin.WaitGone(ctx, server) // the test has failed already
	if volume != "" {
		_ = f.admin.DeleteVolume(ctx, volume)
	}
}

// describe notes the server's addresses, and the disks that must be in
// quarantine when it is deleted.
func (f *fleet) describe(ctx context.Context, m *machine, kept string) error {
	v, err := f.alice.Server(ctx, m.id)
	if err != nil {
		return err
	}
	m.ips = v.IPs()
	if len(m.ips) == 0 {
		return fmt.Errorf("server %s has no address", m.id)
	}
	volumes, err := f.attached(ctx, m.id)
	if err != nil {
		return err
	}
	for _, id := range volumes {
		if id != kept {
			m.disks = append(m.disks, expected{"volume-" + id, "volume", id})
		}
	}
	kind, _, _ := strings.Cut(m.name, "-")
	if kind != "boot" {
		m.disks = append(m.disks, expected{image: m.id + "_disk", role: "root"})
	}
	switch kind {
	case "config":
		m.disks = append(m.disks, expected{image: m.id + "_disk.config", role: "config"})
	case "ephemeral":
		m.disks = append(m.disks, expected{image: m.id + "_disk.eph0", role: "ephemeral"}, expected{image: m.id + "_disk.swap", role: "swap"})
	}
	if kind == "boot" && len(m.disks) != 1 || kind == "data" && len(m.disks) != 2 {
		return fmt.Errorf("server %s (%s) has the volumes %q", m.id, m.name, volumes)
	}
	return nil
}

// attached returns the ids of a server's volumes.
func (f *fleet) attached(ctx context.Context, id string) ([]string, error) {
	var answer struct {
		VolumeAttachments []struct {
			VolumeID string `json:"volumeId"`
		} `json:"volumeAttachments"`
	}
	err := f.alice.Do(ctx, http.MethodGet, "compute", "/servers/"+id+"/os-volume_attachments", nil, &answer)
	var ids []string
	for _, a := range answer.VolumeAttachments {
		ids = append(ids, a.VolumeID)
	}
	return ids, err
}

// all are the disks that must be in quarantine in the end.
func (f *fleet) all() []expected {
	all := slices.Clone(f.volumes)
	for _, m := range f.servers {
		all = append(all, m.disks...)
	}
	return all
}

// disks counts them.
func (f *fleet) disks() int { return len(f.all()) }

// listed returns the ids that a listing has. One listing is asked for them all:
// a question for each server would load the cloud more than their deletes do.
func listed(t *testing.T, who *openstacklab.Session, service, what, query string) (map[string]string, error) {
	t.Helper()
	var answer map[string][]struct{ ID, Name string }
	if err := who.Do(t.Context(), http.MethodGet, service, "/"+what+"?limit=1000&"+query, nil, &answer); err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, r := range answer[what] {
		ids[r.ID] = r.Name
	}
	return ids, nil
}

// patience is how long a cloud on a busy machine may take with a fleet.
const patience = 15 * time.Minute

func (f *fleet) waitActive(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; wait(t) {
		active, err := listed(t, f.alice, "compute", "servers", "status=ACTIVE")
		must(t, err)
		waiting := slices.DeleteFunc(slices.Clone(f.servers), func(m *machine) bool { return active[m.id] != "" })
		if len(waiting) == 0 {
			return
		}
		failed, err := listed(t, f.alice, "compute", "servers", "status=ERROR")
		must(t, err)
		for _, m := range waiting {
			if failed[m.id] != "" {
				v, err := f.alice.Server(t.Context(), m.id)
				t.Fatalf("server %s (%s) was not built: %s (%v)", m.id, m.name, v.Fault.Message, err)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d servers of %d are not ACTIVE", len(waiting), len(f.servers))
		}
	}
}

// forAll does the work for 0 to n-1, several at a time, and returns the errors.
func forAll(ctx context.Context, n int, work func(ctx context.Context, i int) error) error {
	errs := make([]error, n)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(n, atOnce) {
		wg.Go(func() {
			for i := range next {
				errs[i] = work(ctx, i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}
