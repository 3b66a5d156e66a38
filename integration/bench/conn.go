package main

import (
	"encoding/json"
	"fmt"

	"github.com/ceph/go-ceph/rados"

	cephlab "quarantine/integration/ceph"
)

// connect connects as the user, with the options that the service's own
// connection has: the sides are to differ in nothing but the work.
func connect(lab *cephlab.Lab, user string) (*rados.Conn, error) {
	conn, err := rados.NewConnWithUser(user)
	if err != nil {
		return nil, fmt.Errorf("connect as client.%s: %w", user, err)
	}
	if err := conn.ReadConfigFile(lab.Conf); err != nil {
		return nil, fmt.Errorf("connect as client.%s: read %s: %w", user, lab.Conf, err)
	}
	for k, v := range map[string]string{
		"rados_mon_op_timeout": timeoutSeconds, "rados_osd_op_timeout": timeoutSeconds,
		"client_mount_timeout": timeoutSeconds, "rbd_cache": "false",
	} {
		if err := conn.SetConfigOption(k, v); err != nil {
			return nil, fmt.Errorf("connect as client.%s: set %s: %w", user, k, err)
		}
	}
	if err := conn.Connect(); err != nil {
		return nil, fmt.Errorf("connect as client.%s: %w", user, err)
	}
	return conn, nil
}

// osdMapEpoch is cephlab's OSDMapEpoch over an open connection: starting the
// ceph program beside what is measured would load the machine.
func osdMapEpoch(conn *rados.Conn) (int, error) {
	out, _, err := conn.MonCommand([]byte(`{"prefix":"osd stat","format":"json"}`))
	if err != nil {
		return 0, fmt.Errorf("ask for the OSD map's epoch: %w", err)
	}
	var stat struct {
		Epoch int `json:"epoch"`
	}
	if err := json.Unmarshal(out, &stat); err != nil {
		return 0, fmt.Errorf("read the OSD map's epoch: %w", err)
	}
	return stat.Epoch, nil
}
