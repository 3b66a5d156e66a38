package main

import (
	"context"
	"fmt"
	"strings"

	"quarantine/internal/api"
	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// drivers are the storage drivers that may ask before they remove a disk.
func (d *daemon) drivers() map[string]api.Driver {
	return map[string]api.Driver{
		"opennebula": {CloudType: quarantine.CloudOpenNebula, Actions: []string{opennebula.TMDelete, opennebula.DatastoreRM}, Dying: d.dying, GoesOn: func(action string, body []byte) bool { return driverCall(action, body).Directory() }},
	}
}

// dying asks the front-end what its driver is about to do.
func (d *daemon) dying(ctx context.Context, cloud, action string, body []byte) (quarantine.Deletion, []quarantine.DiskRef, error) {
	for _, a := range d.apis {
		one, ok := a.(*opennebula.API)
		if !ok || one.Name() != cloud {
			continue
		}
		return one.Dying(ctx, driverCall(action, body))
	}
	return quarantine.Deletion{}, nil, fmt.Errorf("cloud %s has no api in the configuration, without which its drivers cannot be answered: %w", cloud, quarantine.ErrUnavailable)
}

// driverCall reads a question: the body of tm-delete is the driver's arguments,
// one a line, that of datastore-rm its standard input.
func driverCall(action string, body []byte) opennebula.DriverCall {
	if action == opennebula.TMDelete {
		return opennebula.DriverCall{Action: action, Args: strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")}
	}
	return opennebula.DriverCall{Action: action, Data: body}
}
