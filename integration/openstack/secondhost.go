package openstacklab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"quarantine/integration/openstack/supervisor"
)

// SecondHost is the name of the compute host that StartSecondHost adds.
const SecondHost = "node2"

// secondCompute is what the supervisor calls it.
const secondCompute = "nova-compute-2"

// StartSecondHost adds a compute host that takes servers and builds nothing:
// Nova's own fake driver, for one machine has one libvirt. To Nova's API and
// messages it is a host like any other; the disks of the servers that come to
// it stay as they are, also when such a server is deleted. It returns when Nova
// takes the host for alive. Who adds it ends it (EndSecondHost), and does not
// run beside other tests: servers may be scheduled to it.
func (l *Lab) StartSecondHost(ctx context.Context) error {
	settings := fmt.Sprintf("[DEFAULT]\nhost = %s\ncompute_driver = fake.FakeDriver\nlog_file = %s.log\n", SecondHost, secondCompute)
	file := l.path("etc/" + secondCompute + ".conf")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return fmt.Errorf("add host %s: %w", SecondHost, err)
	}
	if _, err := l.sql(ctx, fmt.Sprintf(`INSERT INTO nova_api.host_mappings (created_at, cell_id, host)
		SELECT NOW(), id, '%[1]s' FROM nova_api.cell_mappings WHERE name='cell1'
		AND NOT EXISTS (SELECT 1 FROM nova_api.host_mappings WHERE host='%[1]s')`, SecondHost)); err != nil {
		return fmt.Errorf("add host %s: %w", SecondHost, err)
	}
	s := service{name: secondCompute, args: append(append([]string{"/usr/bin/nova-compute"}, l.configs("nova")...), "--config-file", file)}
	s.every = time.Second
	s.ready = func(ctx context.Context, _ time.Time) error {
		out, err := l.sql(ctx, fmt.Sprintf("SELECT 1 FROM nova_api.host_mappings m JOIN nova.services s ON s.host = m.host JOIN nova.compute_nodes n ON n.host = m.host AND n.deleted = 0 WHERE m.host='%s' AND s.deleted = 0 AND s.report_count>0", SecondHost))
		if err == nil && strings.TrimSpace(out) == "" {
			err = errors.New("it has not reported itself")
		}
		return err
	}
	started := time.Now()
	if err := l.ctl.Start(ctx, supervisor.Spec{Name: s.name, Args: s.args, Env: l.environment(), Output: l.path("log/" + s.name + ".out")}); err != nil {
		return fmt.Errorf("add host %s: %w", SecondHost, err)
	}
	return l.await(ctx, s, started)
}

// KillSecondHost ends the host's process as a crash does; Nova still has the
// host.
func (l *Lab) KillSecondHost(ctx context.Context) error {
	return l.ctl.Stop(ctx, secondCompute, syscall.SIGKILL, stopGrace)
}

// EndSecondHost takes the host, which may have been killed, from the cloud. It
// must have no servers.
func (l *Lab) EndSecondHost(ctx context.Context) error {
	if running, err := l.ctl.Running(ctx); err != nil {
		return err
	} else if running[secondCompute] != 0 {
		if err := l.ctl.Stop(ctx, secondCompute, syscall.SIGTERM, stopGrace); err != nil {
			return err
		}
	}
	admin, err := l.As(ctx, Admin())
	if err != nil {
		return err
	}
	var list struct{ Services []struct{ ID string } }
	if err := admin.Do(ctx, http.MethodGet, "compute", "/os-services?binary=nova-compute&host="+SecondHost, nil, &list); err != nil {
		return fmt.Errorf("end host %s: %w", SecondHost, err)
	}
	for _, s := range list.Services {
		if err := admin.Do(ctx, http.MethodDelete, "compute", "/os-services/"+s.ID, nil, nil); err != nil {
			return fmt.Errorf("end host %s: %w", SecondHost, err)
		}
	}
	return nil
}

// WaitHost returns when Nova takes a host's compute service for alive ("up") or
// dead ("down", 20 s after its last sign of life).
func (l *Lab) WaitHost(ctx context.Context, host, state string) error {
	admin, err := l.As(ctx, Admin())
	if err != nil {
		return err
	}
	var list struct{ Services []struct{ State string } }
	return poll(ctx, func() (bool, error) {
		err := admin.Do(ctx, http.MethodGet, "compute", "/os-services?binary=nova-compute&host="+host, nil, &list)
		return len(list.Services) == 1 && list.Services[0].State == state, err
	}, func() string { return fmt.Sprintf("host %s is %v", host, list.Services) })
}
