#!/bin/bash
# Installs what the build, the tests and the demo need of Debian, and nothing
# if nothing is missing. With the argument "openstack": also what the OpenStack
# lab needs (260 MB). Services are not started: the labs run their own.
set -euo pipefail

if [ $# -gt 1 ] || [ "${1-openstack}" != openstack ]; then
	echo "usage: install-deps.sh [openstack]" >&2
	exit 2
fi

packages=(busybox ca-certificates ceph-common ceph-mgr ceph-mon ceph-osd curl dash gcc git jq libc6-dev
	librados-dev librbd-dev procps python3-zmq rabbitmq-server shellcheck util-linux)
if [ "${1-}" = openstack ]; then
	packages+=(cinder-api cinder-scheduler cinder-volume genisoimage glance-api iproute2 keystone
		libvirt-clients libvirt-daemon libvirt-daemon-system mariadb-server nova-api nova-compute
		nova-compute-qemu nova-conductor nova-scheduler placement-api python3-libvirt
		python3-openstackclient python3-oslo.messaging python3-pymysql python3-rados python3-rbd
		qemu-block-extra qemu-system-x86 qemu-utils uwsgi-core uwsgi-plugin-python3)
fi

missing=()
for p in "${packages[@]}"; do
	if [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" != installed ]; then
		missing+=("$p")
	fi
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

if [ "$(id -u)" != 0 ]; then
	echo "error: these packages are missing, and only root can install them: ${missing[*]}" >&2
	echo "hint: sudo make install-deps" >&2
	exit 1
fi

echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
made_policy=
finish() {
	status=$?
	if [ -n "$made_policy" ]; then rm -f "$policy"; fi
	if [ "$status" != 0 ]; then tail -n 30 "$log" >&2; fi
	rm -f "$log"
}
trap finish EXIT
# 101 forbids maintainer scripts to start a service.
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	made_policy=yes
fi
# Lists that are too old name packages that are gone: always look first.
apt-get update -q </dev/null >>"$log" 2>&1
apt-get install -q -y --no-install-recommends "${missing[@]}" </dev/null >>"$log" 2>&1
