// Package frontend is what an operator installs on an OpenNebula front-end, and
// the tests of it: shell scripts that need nothing but a POSIX sh, curl, flock
// and the usual small commands. It installs nothing itself.
//
// # What each file is
//
//	hook                     quarantine-hook, the COMMAND of the hooks: posts a
//	                         message, and keeps it in a spool while the daemon is
//	                         away; --drain sends what waits, --status counts it
//	driver                   stands in front of tm/ceph/delete and
//	                         datastore/ceph/rm, and asks the daemon before a disk
//	                         is removed
//	opennebula.conf          the configuration of both
//	quarantine-drain.service, quarantine-drain.timer
//	                         send what waits, every minute
//	hooks/                   the hooks as OpenNebula's templates, for HookPath;
//	                         Hooks and Template are the same for an installer
//
// Hooks tell what was deleted; OpenNebula does not wait for them. On a pool
// with the guard they are enough. The driver is for pools without it: OpenNebula
// waits for its answer, so that there is no race.
//
// # By hand
//
// With R=/var/lib/one/remotes, as root, and a token of the role hook:
//
//	install -d /etc/quarantine
//	install -m 640 -g oneadmin opennebula.conf opennebula.token /etc/quarantine/
//	install -m 755 hook $R/hooks/quarantine-hook
//	install -m 644 quarantine-drain.* /etc/systemd/system/
//	systemctl enable --now quarantine-drain.timer
//	for t in hooks/*.xml; do onehook create $t; done   # as oneadmin
//	for f in $R/tm/ceph/delete $R/datastore/ceph/rm; do
//		dpkg-divert --local --rename --divert $f.distrib --add $f  # or: mv $f $f.distrib
//		install -m 755 driver $f
//	done
//
// With dpkg-divert an upgrade of OpenNebula's packages updates the original
// under its diverted name. Elsewhere an upgrade puts the original back over the
// driver: install the driver again. The driver refuses to run without an
// original, and looks at its own path to know which of the two it is.
//
// # The spool
//
// A file is a message. While it is written, and while its writer lives, its name
// is .new.ID.PID.KIND; later it is TIME-ID.KIND, TIME in nanoseconds of the Unix
// clock. KIND is hook, tm-delete or datastore-rm and says where it is posted;
// the latter two are reports of the driver that came too late to be asked about
// (late=true). Who holds the lock on .lock sends, the oldest first, and removes
// a message when the daemon has it. The others do not wait: who has sent looks
// again after it has let go of the lock, which is after they renamed theirs.
//
// A message that the daemon refuses (400, 413, 422) is put aside in refused/. On
// every other answer sending stops and all stays, in its order, until the next
// hook or the timer. A call that is killed leaves its .new file, which the next
// call lets wait; if it was not whole the daemon refuses it. A message can reach
// the daemon twice, when its sender is killed before it removes the file.
package frontend
