#!/bin/sh
# Installs the programs that building and testing need and this machine lacks.
# Does nothing when all of them are there.
set -eu

missing=""
need() { # need PROGRAM PACKAGE...
	command -v "$1" >/dev/null 2>&1 && return
	shift
	missing="$missing $*"
}

need cc gcc libc6-dev # the race detector is linked by the C linker
need xz xz-utils      # make arm: what the binary needs on a flash
need ip iproute2      # tests look at ports as people do
need nft nftables     # the baseline: what stock masquerading does
need ethtool ethtool  # which veth takes frames that a program at the other end sends
need iperf3 iperf3    # tests/programs: programs that people use, through the router
need traceroute traceroute
need turnserver coturn
need curl curl        # tests/netns: FTP and TFTP, clients and servers
need tftp tftp-hpa
need dnsmasq dnsmasq-base
/usr/bin/python3 -c "import pyftpdlib" 2>/dev/null || missing="$missing python3-pyftpdlib"
need nc netcat-openbsd # tests/netns/ltm: TCP as people try it
need groff groff-base # cmd/spigate: reads the manual pages
[ -r /usr/share/bash-completion/bash_completion ] || missing="$missing bash-completion" # tests/commands: the tab key
need tshark tshark    # decodes our IPFIX, independently
need qemu-system-arm qemu-system-arm # tests/arm: ARM machines, and a kernel's module built for them
need make make
need arm-linux-gnueabihf-gcc gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
need xz xz-utils
need e2fsck e2fsprogs # board/image: the flash, and packers of the first file system
need zstd zstd
need shellcheck shellcheck # board/packaging: scripts, and the unit as systemd reads it
need systemd-analyze systemd
# tests/web: the web pages in a real browser; any of these names will do.
if ! command -v chromium-browser >/dev/null 2>&1 && ! command -v google-chrome >/dev/null 2>&1; then
	need chromium chromium fonts-dejavu-core
fi
need setpriv util-linux # tests/netns: the router with the service's privileges alone
need strace strace
# netstack/xdp/bpf: the compiler that its objects are made with is Debian 12's;
# elsewhere it runs in a Debian 12 made for it.
if grep -q '^VERSION_CODENAME=bookworm' /etc/os-release; then
	need clang-14 clang-14
	need llvm-strip-14 llvm-14
else
	need mmdebstrap mmdebstrap
fi

promtool="" # configs/monitoring: alert rules as Prometheus reads them
command -v promtool >/dev/null 2>&1 || promtool=promtool

[ -z "$missing$promtool" ] && exit 0
echo "installing:$missing $promtool" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086 # a list of packages
[ -z "$missing" ] || apt-get install -y -q --no-install-recommends $missing
[ -n "$promtool" ] || exit 0
# The program alone: its package would start a Prometheus here.
dir=$(mktemp -d)
(cd "$dir" && apt-get download -q prometheus)
dpkg-deb --fsys-tarfile "$dir"/prometheus_*.deb | tar -x -C /usr/local/bin --strip-components=3 ./usr/bin/promtool
rm -r "$dir"
