package openstacklab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"quarantine/integration/openstack/supervisor"
)

// stopGrace is how long a service may take to end in order. Nova's and
// Cinder's wait up to 10 s for what they are doing.
const stopGrace = 20 * time.Second

var errNoService = errors.New("no such service")

// Services returns the names of all services that the lab has: mariadb,
// rabbitmq, epmd, libvirtd, neutron, keystone, placement, glance-api,
// cinder-api, -scheduler, -volume, nova-api, -conductor, -scheduler, -compute.
func (l *Lab) Services() []string {
	var names []string
	for _, s := range l.services() {
		names = append(names, s.name)
	}
	return names
}

// Running returns the names of the services that run.
func (l *Lab) Running(ctx context.Context) ([]string, error) {
	running, err := l.ctl.Running(ctx)
	return slices.Sorted(maps.Keys(running)), err
}

// StartService starts a service and returns when it serves. One that runs is
// left as it is.
func (l *Lab) StartService(ctx context.Context, name string) error {
	s, ok := l.service(name)
	if !ok {
		return fmt.Errorf("start %s: %w", name, errNoService)
	}
	running, err := l.ctl.Running(ctx)
	if err != nil || running[name] != 0 {
		return err
	}
	started := time.Now()
	// Of two values of a variable the first counts.
	err = l.ctl.Start(ctx, supervisor.Spec{
		Name: name, Args: s.args, Env: slices.Concat(s.env, l.environment()), Output: l.path("log/" + name + ".out"),
	})
	if err != nil {
		return err
	}
	return l.await(ctx, s, started)
}

// StopService ends a service in order (SIGTERM, and SIGKILL after 20 s) and
// returns when it is gone. Stopping libvirtd leaves the guests running.
func (l *Lab) StopService(ctx context.Context, name string) error {
	return l.end(ctx, name, syscall.SIGTERM)
}

// KillService ends a service as a crash does, with all that it started and
// that has not left it, which a guest has.
func (l *Lab) KillService(ctx context.Context, name string) error {
	return l.end(ctx, name, syscall.SIGKILL)
}

func (l *Lab) end(ctx context.Context, name string, s syscall.Signal) error {
	if _, ok := l.service(name); !ok {
		return fmt.Errorf("stop %s: %w", name, errNoService)
	}
	return l.ctl.Stop(ctx, name, s, stopGrace)
}

// RestartService stops a service in order and starts it again.
func (l *Lab) RestartService(ctx context.Context, name string) error {
	if err := l.StopService(ctx, name); err != nil {
		return err
	}
	return l.StartService(ctx, name)
}

// PauseService stops a service without its clients' noticing (SIGSTOP): they
// wait.
func (l *Lab) PauseService(ctx context.Context, name string) error {
	return l.ctl.Signal(ctx, name, syscall.SIGSTOP)
}

// ResumeService lets a paused service go on.
func (l *Lab) ResumeService(ctx context.Context, name string) error {
	return l.ctl.Signal(ctx, name, syscall.SIGCONT)
}

// readers are the services that read a project's configuration.
var readers = map[string][]string{
	"nova":     {"nova-conductor", "nova-scheduler", "nova-api", "nova-compute"},
	"cinder":   {"cinder-api", "cinder-scheduler", "cinder-volume"},
	"glance":   {"glance-api"},
	"keystone": {"keystone"},
}

// Configure replaces the settings that are laid over those of a project (nova,
// cinder, glance, keystone) by the given ones, in the format of its
// configuration file ("" takes all back), and restarts those services. None
// named means all of the project's that run.
func (l *Lab) Configure(ctx context.Context, project, ini string, restart ...string) error {
	known, ok := readers[project]
	if !ok {
		return fmt.Errorf("configure %s: %w", project, errNoService)
	}
	if err := os.WriteFile(l.override(project), []byte("[DEFAULT]\n"+ini+"\n"), 0o600); err != nil {
		return fmt.Errorf("configure %s: %w", project, err)
	}
	if len(restart) == 0 {
		running, err := l.ctl.Running(ctx)
		if err != nil {
			return fmt.Errorf("configure %s: %w", project, err)
		}
		for _, name := range known {
			if running[name] != 0 {
				restart = append(restart, name)
			}
		}
	}
	var restarts []func() error
	for _, name := range restart {
		restarts = append(restarts, func() error { return l.RestartService(ctx, name) })
	}
	return together(restarts...)
}

// together runs the functions side by side and waits for all.
func together(fs ...func() error) error {
	errs := make([]error, len(fs))
	var wg sync.WaitGroup
	for i, f := range fs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
