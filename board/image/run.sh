#!/bin/sh
# Starts the image in qemu, with two ports and the console on this terminal.
# Ctrl-A X ends it as a power cut would; "poweroff" on the console, properly.
#
#   MEM=128            megabytes of memory
#   FLASH=FILE         the flash; default: a copy of flash.img beside it, which
#                      keeps what is written to it (delete it for a new router)
#   NET0=... NET1=...  ports eth0 and eth1, qemu's -netdev for each port, without its id:
#                      tap,ifname=tap0,script=no,downscript=no
#                      socket,listen=127.0.0.1:4000   dgram,...   user (default)
#   APPEND=...         further words for the kernel
#   QEMU=...           another qemu
# Arguments of this script are further ones of qemu.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
flash=${FLASH:-$here/flash-in-use.img}
[ -e "$flash" ] || cp "$here/flash.img" "$flash"

# The kernel finds virtio devices in the reverse order of the line: NET0 is eth0,
# the port "wan" of the factory configuration, and NET1 eth1, its port "lan".
exec "${QEMU:-qemu-system-arm}" -M virt -cpu cortex-a15 -m "${MEM:-128}" \
	-nodefaults -no-user-config -display none -serial mon:stdio \
	-kernel "$here/vmlinuz" -initrd "$here/initramfs" \
	-append "console=ttyAMA0 panic=5 net.ifnames=0 ${APPEND:-}" \
	-drive "if=none,id=flash,format=raw,file=$flash" -device virtio-blk-device,drive=flash \
	-netdev "${NET1:-user},id=net1" -device virtio-net-device,netdev=net1,mac=02:00:5e:10:00:02 \
	-netdev "${NET0:-user},id=net0" -device virtio-net-device,netdev=net0,mac=02:00:5e:10:00:01 \
	"$@"
