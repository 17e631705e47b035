#!/bin/sh
# Installs what tests/peers needs and this machine lacks: the emulator that the
# guest runs in, unless SPIGATE_VM=uml asks for a kernel that is a process, and
# nft for the control rows. Does nothing when all is there. The guest's own
# packages, with that kernel, are downloaded by the test, not installed.
set -eu

missing=""
need() { # need PROGRAM PACKAGE
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

[ "${SPIGATE_VM:-qemu}" = uml ] || need qemu-system-x86_64 qemu-system-x86
need nft nftables
need dpkg-deb dpkg

[ -z "$missing" ] && exit 0
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086 # a list of packages
apt-get -o DPkg::Lock::Timeout=600 install -y -q --no-install-recommends $missing
