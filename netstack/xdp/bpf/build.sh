#!/bin/sh
# Compiles forward.bpf.c for both byte orders: build.sh [-r] FOLDER. The objects
# come out the same everywhere, because one compiler makes them: Debian 12's. A
# machine that has another one makes a Debian 12 of its own below dist, once,
# which takes root. With -r it does that in any case.
set -eu

recorded='Debian clang version 14.0.6'

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../../.." && pwd)
debian=$top/dist/debian-12

# compile SOURCES OUT: with the compiler that is called clang-14. What the lines
# of the source are is left out of the object, and where it lay: the compiler does
# not find the text where it is told that it is.
compile() {
	cd "$1/netstack/xdp/bpf"
	for order in el eb; do
		object=$2/forward_bpf$order.o
		clang-14 -target bpf$order -mcpu=v3 -O2 -g -std=gnu11 -nostdinc -Wall -Wextra -Werror \
			-fdebug-prefix-map="$PWD"=bpf -c forward.bpf.c -o "$object"
		llvm-strip-14 --strip-debug --discard-all "$object"
		llvm-objcopy-14 --remove-section=.BTF.ext --remove-section=.rel.BTF --remove-section=.rel.BTF.ext "$object"
	done
}

# Called by this script inside of the other Debian.
if [ "$1" = -c ]; then
	compile "$here/src" "$here/out"
	exit
fi

inside=no
if [ "$1" = -r ]; then
	inside=yes
	shift
elif [ "$(clang-14 --version 2>/dev/null | head -n 1)" != "$recorded" ]; then
	inside=yes
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)

if [ $inside = no ]; then
	compile "$top" "$out"
	exit
fi

fail() {
	echo "build.sh: $recorded is not here, and another compiler makes other objects: $1" >&2
	exit 1
}
[ "$(id -u)" = 0 ] || fail "as root a Debian 12 with it is made in $debian"
if [ ! -d "$debian" ]; then
	command -v mmdebstrap >/dev/null || fail "mmdebstrap is needed to make a Debian 12 with it"
	mkdir -p "$top/dist"
	mmdebstrap --quiet --mode=root --variant=essential --include=clang-14,llvm-14 bookworm "$debian.new" >&2 ||
		{ rm -rf "$debian.new"; fail "a Debian 12 could not be made"; }
	mv "$debian.new" "$debian"
fi
# Each caller has its own folders in there: several may compile at once.
work=$(mktemp -d "$debian/tmp/spigate.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/src/netstack/xdp/bpf" "$work/src/netstack/flow/bucket" "$work/out"
cp "$here"/*.c "$here"/*.h "$work/src/netstack/xdp/bpf"
cp "$top/netstack/flow/bucket/bucket.h" "$work/src/netstack/flow/bucket"
cp "$here/build.sh" "$work"
chroot "$debian" sh "/tmp/${work##*/}/build.sh" -c
cp "$work"/out/*.o "$out"
