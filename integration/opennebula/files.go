package frontend

import _ "embed"

// Where the files belong on a front-end. The scripts have mode 0755, the units
// 0644; the configuration and the token are for root and oneadmin only.
const (
	HookPath         = "/var/lib/one/remotes/hooks/quarantine-hook"
	ConfPath         = "/etc/quarantine/opennebula.conf"
	TokenPath        = "/etc/quarantine/opennebula.token"
	DrainServicePath = "/etc/systemd/system/quarantine-drain.service"
	DrainTimerPath   = "/etc/systemd/system/quarantine-drain.timer"

	// The driver lies in both places.
	TMDeletePath    = "/var/lib/one/remotes/tm/ceph/delete"
	DatastoreRmPath = "/var/lib/one/remotes/datastore/ceph/rm"

	// SpoolPath is made by the scripts, for the user that runs them: oneadmin.
	SpoolPath = "/var/lib/one/quarantine-spool"
)

// Distrib follows the name of an original script that the driver stands in
// front of, as dpkg-divert has it.
const Distrib = ".distrib"

var (
	//go:embed hook
	hookScript string
	//go:embed driver
	driverScript string
	//go:embed opennebula.conf
	conf string
	//go:embed quarantine-drain.service
	drainService string
	//go:embed quarantine-drain.timer
	drainTimer string
)

// HookScript returns the script for HookPath.
func HookScript() string { return hookScript }

// DriverScript returns the script for TMDeletePath and DatastoreRmPath, whose
// originals are then beside it, under their names followed by Distrib.
func DriverScript() string { return driverScript }

// Conf returns a configuration of both scripts for ConfPath, with every key and
// its default.
func Conf() string { return conf }

// DrainService returns the unit for DrainServicePath.
func DrainService() string { return drainService }

// DrainTimer returns the unit for DrainTimerPath.
func DrainTimer() string { return drainTimer }
