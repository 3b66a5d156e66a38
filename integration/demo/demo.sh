#!/bin/bash
# The main job on a real one-node Ceph, told step by step: a VM is deleted, its
# disk survives, is found by the VM's address, given back byte for byte, and
# another's space is freed when its time is over. Run by `make demo`;
# KEEP=1 leaves Ceph and the daemon up.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$PWD/bin
here=$PWD/integration/demo
keep=${KEEP:-}

work=$(mktemp -d /tmp/quarantine-demo.XXXXXX)
lab=$work/ceph
daemon=
done=

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
tell() { printf '   %s\n' "$*"; }
fail() { printf '\nFAILED: %s\n' "$*" >&2; [ -f "$work/daemon.log" ] && tail -20 "$work/daemon.log" >&2; exit 1; }

finish() {
	status=$?
	if [ -n "$done" ] && [ -n "$keep" ]; then return; fi
	[ -n "$daemon" ] && kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null
	[ -d "$lab" ] && "$bin/cephlab" down -dir "$lab" >/dev/null 2>&1
	rm -rf "$work"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# until TRIES CMD…: waits for a condition, and fails when it does not come.
until_true() {
	local tries=$1; shift
	for _ in $(seq "$tries"); do
		if "$@" >/dev/null 2>&1; then return 0; fi
		sleep 0.5
	done
	return 1
}

say "1. A small real Ceph (monitor, manager, OSD) starts on loopback ports."
"$bin/cephlab" up -dir "$lab" >/dev/null
export CEPH_CONF=$lab/ceph.conf
cloud() { rbd --conf "$CEPH_CONF" --id openstack "$@"; }
tell "Its keys: client.openstack (a cloud, by object prefix: cannot switch the guard off), client.quarantine (this service)."

say "2. The daemon starts, with its catalog in one SQLite file."
printf 'demo-admin-token' >"$work/admin.token"
printf 'demo-hook-token' >"$work/hook.token"
chmod 600 "$work"/*.token
cat >"$work/quarantined.yaml" <<Y
listen: 127.0.0.1:0
state_dir: $work/state
policies: $here/policy.yaml
tokens:
  - {name: demo, role: admin, file: $work/admin.token}
  - {name: nova, role: hook, cloud: openstack, file: $work/hook.token}
clouds:
  - {name: openstack, type: openstack}
clusters:
  - name: demo
    conf: $CEPH_CONF
    user: quarantine
    pools:
      - {name: vms, cloud: openstack}
      - {name: volumes, cloud: openstack}
capture: {settle: 1s}
collect: {grace: 1s}
jitter: 0s
Y
mkdir -p "$work/state"
"$bin/quarantined" --config "$work/quarantined.yaml" >"$work/daemon.out" 2>"$work/daemon.log" &
daemon=$!
address() { sed -n 's/.*msg=serving.* addr=\([^ ]*\).*/\1/p' "$work/daemon.log" | head -1 | grep .; }
until_true 120 address || fail "the daemon does not serve"
QUARANTINE_SERVER=http://$(address)
export QUARANTINE_SERVER QUARANTINE_TOKEN_FILE=$work/admin.token
export COLUMNS=${COLUMNS:-120}
q() { "$bin/quarantinectl" "$@"; }
until_true 60 curl -sf "$QUARANTINE_SERVER/readyz" || fail "the daemon does not become ready"

say "3. Guard the pools: from now on Ceph turns every removal into a move to the trash."
q ceph guard on vms
q ceph guard on volumes

say "4. The cloud works: a VM's root disk (a clone of a base image) and a volume, with known content."
server=4f4d0436-ae4c-4033-a285-d2bf905cf3bc   # as in the recorded notifications
volume=1469e6b1-5a51-479c-8c18-f98828331200
head -c 8388608 /dev/urandom >"$work/base.raw"
head -c 6291456 /dev/urandom >"$work/volume.raw"
cloud import --no-progress --image-format 2 "$work/base.raw" images/base
cloud snap create --no-progress images/base@snap
cloud snap protect images/base@snap
cloud clone images/base@snap "vms/${server}_disk"
cloud resize --no-progress --size 64M "vms/${server}_disk"
# The guest writes: the clone gets blocks of its own.
cloud bench --io-type write --io-size 4096 --io-total 1M --io-pattern rand "vms/${server}_disk" >/dev/null
cloud import --no-progress --image-format 2 "$work/volume.raw" "volumes/volume-$volume"
cloud export --no-progress "vms/${server}_disk" "$work/disk-before.raw"
before=$(sha256sum <"$work/disk-before.raw" | cut -d' ' -f1)
tell "vms/${server}_disk   SHA-256 $before"
tell "volumes/volume-$volume"

say "5. Both are deleted. The cloud sends its notifications …"
for f in "$here"/notifications/*.json; do
	curl -sf -o /dev/null -H "Authorization: Bearer demo-hook-token" -H 'Content-Type: application/json' \
		--data-binary @"$f" "$QUARANTINE_SERVER/v1/hooks/openstack" || fail "the hook refused $f"
	tell "sent $(basename "$f")"
done
tell "… and removes the disks with its own key, as Nova and Cinder do (librbd's remove)."
cloud rm --no-progress "vms/${server}_disk"
cloud rm --no-progress "volumes/volume-$volume"
tell "In the pools now: $(cloud ls vms | wc -l) and $(cloud ls volumes | wc -l) images."

say "6. They are in quarantine, with the machine's name, project, user and addresses."
count() { [ "$(q list --state quarantined -o json | jq length)" -ge "$1" ]; }
until_true 60 count 2 || fail "the disks were not adopted"
q list
id_of() { q list "$@" -o json | jq -r '.[0].id // empty'; }
field() { q show "$1" -o json | jq -r ".$2"; }
tell "Who had 10.77.0.11?   quarantinectl list --address 10.77.0.11; quarantinectl show ID"
disk=$(id_of --address 10.77.0.11)
[ -n "$disk" ] || fail "the address finds no disk"
q show "$disk"
for f in resource_name project user; do [ "$(field "$disk" "$f")" != "" ] || fail "the disk has no $f"; done

say "7. Not even the cloud's key gets rid of the sealed disk."
image=$(field "$disk" image_id)
if cloud trash rm --no-progress --force "vms/$image" 2>/dev/null; then fail "the cloud's key removed a sealed disk"; fi
tell "rbd trash rm --force vms/$image: refused by Ceph."

say "8. Give it back: as a clone, and as a file."
q restore "$disk" --to "vms/analysis" --reason "demo"
cloud export --no-progress vms/analysis "$work/disk-after.raw"
q export "$disk" "$work/evidence.raw" --reason "demo"
for f in disk-after evidence; do
	after=$(sha256sum <"$work/$f.raw" | cut -d' ' -f1)
	[ "$before" = "$after" ] || fail "$f.raw differs from the disk at its deletion"
done
tell "Both equal the disk at its deletion, byte for byte."

say "9. The volume's time is over (its policy says: keep 5 seconds)."
gone=$(id_of --name "volume-$volume")
[ -n "$gone" ] || fail "the volume is not listed"
image=$(field "$gone" image_id)
objects() { rados --conf "$CEPH_CONF" -p volumes ls | grep -c "$image" || true; }
before=$(objects)
[ "$before" -gt 0 ] || fail "the volume has no objects in Ceph"
expiring() { q run collect >/dev/null 2>&1; [ "$(field "$gone" state)" != quarantined ]; }
until_true 60 expiring || fail "the volume does not expire"
tell "First pass: marked. Nothing is freed yet, and a hold would stop it."
purged() { q run collect >/dev/null 2>&1; [ "$(field "$gone" state)" = purged ]; }
until_true 60 purged || fail "the volume is not purged"
after=$(objects)
[ "$after" = 0 ] || fail "$after objects of the volume are left in Ceph"
tell "Second pass, after the grace period: freed. RADOS objects of the volume: $before before, $after now."
q show "$gone"
tell "The VM's disk, with 30 days to go, is still here:"
q list

say "10. How is it?"
q status
q run guard
ceph --conf "$CEPH_CONF" auth ls -f json 2>/dev/null | q doctor --ceph-auth - || tell "(doctor has found something worth a look, above)"

done=1
if [ -n "$keep" ]; then
	trap - EXIT
	say "Left up, in $work. Go on with:"
	tell "export QUARANTINE_SERVER=$QUARANTINE_SERVER QUARANTINE_TOKEN_FILE=$QUARANTINE_TOKEN_FILE CEPH_CONF=$CEPH_CONF"
	tell "$bin/quarantinectl list"
	tell "rbd --id openstack ls vms"
	tell "and at the end: kill $daemon; $bin/cephlab down -dir $lab; rm -rf $work"
else
	say "Done. Nothing is left running."
fi
