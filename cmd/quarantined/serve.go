package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// component is a part that runs until its context ends. intake components
// bring new work in and are stopped first.
type component struct {
	name   string
	intake bool
	run    func(ctx context.Context) error
}

// serve runs all components until ctx ends or one of them fails, and stops
// them in order: first what brings work in (hooks, message buses, watches), so
// that what was answered or acknowledged is finished; then what works
// (adoption, cron). It returns when all have returned.
func (d *daemon) serve(ctx context.Context) error {
	root := context.WithoutCancel(ctx)
	intake, stopIntake := context.WithCancel(root)
	defer stopIntake()
	work, stopWork := context.WithCancel(root)
	defer stopWork()

	failed := make(chan error, len(d.components))
	var intakeDone, workDone sync.WaitGroup
	for _, c := range d.components {
		cctx, wg := work, &workDone
		if c.intake {
			cctx, wg = intake, &intakeDone
		}
		wg.Go(func() {
			if err := c.run(cctx); err != nil && !errors.Is(err, context.Canceled) {
				failed <- fmt.Errorf("%s: %w", c.name, err)
			}
		})
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	d.notify(sd.SdNotifyReady)
	var err error
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case err = <-failed:
			running = false
		case <-hup:
			d.reloadPolicies(ctx)
		}
	}
	d.notify(sd.SdNotifyStopping)
	d.log.Info("stopping")
	stopIntake()
	intakeDone.Wait()
	stopWork()
	workDone.Wait()
	close(failed)
	for e := range failed {
		err = errors.Join(err, e)
	}
	return err
}

// notify tells systemd, where it is there.
func (d *daemon) notify(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		d.log.Warn("tell systemd", "state", state, "error", err)
	}
}
