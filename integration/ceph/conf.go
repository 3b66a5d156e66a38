package cephlab

import (
	"fmt"
	"strings"
	"time"
)

// maxSocketPath is Linux's limit for a socket's path, less the longest name
// that a daemon adds to it.
const maxSocketPath = 107 - len("/run/ceph-mon.a.1234567.asok")

// fastCommits is the monitor's commit interval while the lab starts: most of a
// slow start is waiting for commits.
const fastCommits = "0.02"

// config returns the ceph.conf. Settings that only daemons may have (sockets,
// logs) are in their sections, so that several clients in one process do not
// fight over them.
func config(dir, fsid string, port int, delay time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, `[global]
fsid = %[2]s
mon_initial_members = a
mon_host = v2:127.0.0.1:%[3]d/0
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr1 = false
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
keyring = %[1]s/keyrings/$name.keyring
run_dir = %[1]s/run
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
rbd_default_features = 61
log_to_stderr = false

[mon]
mon_data = %[1]s/mon
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 20000
mon_data_avail_warn = 1
mon_data_avail_crit = 0
paxos_propose_interval = %[4]s
paxos_min_wait = 0.01
mgr_initial_modules =

[mgr]
mgr_data = %[1]s/mgr
mgr_module_path = %[1]s/modules
mon_max_pg_per_osd = 20000

[osd]
osd_data = %[1]s/osd
osd_objectstore = bluestore
osd_memory_target = 1073741824
osd_max_pg_per_osd_hard_ratio = 100
mon_max_pg_per_osd = 20000
bluestore_block_size = 21474836480
bluestore_block_db_create = false
bluestore_block_wal_create = false

`, dir, fsid, port, fastCommits)
	if delay > 0 {
		// An OSD reads the type when a client connects.
		fmt.Fprintf(&b, "ms_inject_delay_type = client\nms_inject_delay_probability = 1\nms_inject_delay_max = %g\n\n", delay.Seconds())
	}
	for _, d := range []string{"mon", "mgr", "osd"} {
		fmt.Fprintf(&b, "[%s]\nlog_file = %s/log/$name.log\n", d, dir)
		if len(dir) <= maxSocketPath {
			fmt.Fprintf(&b, "admin_socket = %s/run/$cluster-$name.$pid.asok\n", dir)
		} else {
			fmt.Fprintf(&b, "admin_socket =\n")
		}
	}
	return b.String()
}
