#!/bin/sh
# Installs what board/image needs and this machine lacks. Does nothing when all
# is there. What goes into the image is downloaded by the build, not installed.
set -eu

missing=""
need() { # need PROGRAM PACKAGE
	command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"
}

need mke2fs e2fsprogs
need xz xz-utils
need zstd zstd
need dpkg-deb dpkg
need git git

[ -z "$missing" ] && exit 0
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086 # a list of packages
apt-get -o DPkg::Lock::Timeout=600 install -y -q --no-install-recommends $missing
