package main

import (
	"quarantine/internal/metrics"
	"quarantine/internal/opennebula"
)

// events is the bus of an OpenNebula front-end's hook manager.
type events struct {
	cloud string
	bus   *opennebula.Bus
}

// wireEvents makes the subscriber of a front-end. What it misses the job clouds
// finds.
func (d *daemon) wireEvents(cloud *cloudConfig, m *metrics.Metrics) error {
	bus, err := opennebula.NewBus(opennebula.BusConfig{
		Cloud: cloud.Name, Endpoint: cloud.Events, Record: d.services.recorder.Record, Missed: d.missed,
		Log: d.log.With("component", "events", "cloud", cloud.Name), Clock: d.clock, Observer: busObserver{cloud.Name, "events", m},
	})
	if err != nil {
		return err
	}
	d.events = append(d.events, events{cloud.Name, bus})
	d.components = append(d.components, component{name: "events of " + cloud.Name, intake: true, run: bus.Run})
	return nil
}
