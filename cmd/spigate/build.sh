#!/bin/sh
# Builds the product: sh cmd/spigate/build.sh OUT, from any of the project's folders.
# GOOS, GOARCH, GOARM and GOMIPS choose the machine as for the Go tool. make,
# the image and the test of the size all build with this. TAGS leaves parts out,
# separated by commas: noweb (the web pages), noxdp (offload).
set -eu

# Packages that no packet in flow runs through are compiled without inlining,
# which makes code smaller and keeps more of a small flash free. The data path,
# the arithmetic of key exchanges and what those call stay as they are.
cold="
	debug/elf encoding/asn1 encoding/json flag fmt html html/... log/... mime/... net net/http/... net/textproto net/url os reflect
	regexp/... text/... crypto/tls/... crypto/x509/... crypto/ecdsa crypto/hpke crypto/rsa
	crypto/internal/fips140/ecdsa crypto/internal/fips140/mlkem crypto/internal/fips140/rsa
	vendor/golang.org/x/net/... vendor/golang.org/x/text/... vendor/golang.org/x/crypto/cryptobyte
	github.com/BurntSushi/... github.com/cilium/... github.com/spf13/... github.com/vishvananda/...
	spigate/board/... spigate/cmd/... spigate/configs spigate/hw/...
	spigate/netstack/ipsec/ike spigate/netstack/link/takeover"

# Sections begin at 64 kB for kernels with large pages; those of 32-bit ARM have
# pages of 4 kB.
link="-s -w"
if [ "$(go env GOARCH)" = arm ]; then
	link="$link -R 4096"
fi

out=$1
set --
for package in $cold; do
	set -- "$@" "-gcflags=$package=-l"
done

# The control socket speaks HTTP/1.1 to the command line alone, and the pages to
# a handful of people: HTTP/2 stays out.
CGO_ENABLED=0 exec go build -trimpath -tags "nethttpomithttp2${TAGS:+,$TAGS}" -ldflags "$link" "$@" -o "$out" spigate/cmd/spigate
