# Targets for people and for CI; "make" alone lists them. Each works on a fresh
# Debian with Go, make and root, and installs what else it needs.

BIN      := bin/spigate
DIST     := dist
GOBUILD  := sh cmd/spigate/build.sh
FUZZTIME ?= 30s

# These run alone, one after the other: they play machines in real time.
NETNS := ./tests/netns/... ./tests/programs ./tests/web
PEERS := ./tests/peers ./tests/ikepeer
UNIT   = $(shell go list ./... | grep -v -e '/tests/netns' -e '/tests/programs$$' -e '/tests/web$$' -e '/tests/peers$$' -e '/tests/ikepeer$$' -e '/tests/arch$$')

# Reads the sources, in one goroutine: the race detector would find nothing, and
# take two minutes for it.
ARCH := ./tests/arch

# The benchmark's own tests that lay out and measure all ways of a packet: minutes
# of waiting for the machine, which the fast run leaves out. They fill the queue of
# a processor that all namespaces share, so no other frames may pass beside them.
SLOW := pace tap path load inside

# What an amd64 machine runs as a 32-bit program too.
UNIT32 := ./alg/... ./board ./board/flash/... ./configs/... ./hw/... ./netstack/...

# Targets of "make arm": a name and the environment of the Go tool.
CROSS := armv7:GOARCH=arm,GOARM=7 arm64:GOARCH=arm64 mipsle:GOARCH=mipsle,GOMIPS=softfloat

.DEFAULT_GOAL := help
.PHONY: help deps build man demo test test-32 test-arch test-bench test-fast peers soak machines bench arm image bpf fuzz clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what the other targets need and the machine lacks
	@sh tests/deps.sh

build: ## bin/spigate: static and stripped
	@mkdir -p $(dir $(BIN))
	$(GOBUILD) $(BIN)

man: ## manual pages of every command in dist/man
	go test -count=1 ./cmd/spigate -run '^TestManualPages$$' -man $(CURDIR)/$(DIST)/man

demo: build ## two VPN clients behind one address, plain ESP to one gateway: recorded traffic, then live IKE
	go run ./tests/netns/demo -spigate $(BIN)

test: deps build ## everything that CI runs
	go vet ./...
	@$(MAKE) --no-print-directory -j2 test-arch test-bench
	go test -race -count=1 -timeout 20m $(filter-out $(addprefix %/tests/bench/,$(SLOW)),$(UNIT))
	@$(MAKE) --no-print-directory test-32
	go test -race -count=1 -timeout 20m $(NETNS)
	@$(MAKE) --no-print-directory -j2 peers arm machines # the first mostly waits
	@echo "make test: everything passed"

test-arch:
	go test -count=1 -timeout 10m $(ARCH)

test-bench:
	go test -race -p 1 -count=1 -timeout 20m $(addprefix ./tests/bench/,$(SLOW))

test-32: ## unit tests of the packet path in 32 bits, as on ARMv7; on an amd64 machine
	GOARCH=386 CGO_ENABLED=0 go test -count=1 -timeout 10m $(UNIT32)

test-fast: deps ## the same without the virtual machine, the race detector, cross builds and what measures
	go vet ./...
	go test -short -timeout 3m $(ARCH) $(filter-out $(addprefix %/tests/bench/,$(SLOW)),$(UNIT))
	go test -short -timeout 3m $(NETNS)
	@echo "make test-fast: everything passed"

peers: deps ## real IKE daemons in a virtual machine (SPIGATE_VM=uml: in processes) around spigate; a quarter of an hour
	SPIGATE_PEERS=1 go test -v -count=1 -timeout 25m $(PEERS)

soak: deps ## the same, every pair of daemons in every scenario; an hour
	SPIGATE_PEERS=1 SPIGATE_SOAK=1 go test -v -count=1 -timeout 5h $(PEERS)

machines: deps image ## virtual ARM machines: the router's image from outside; the kernel's switches under the driver for them; the image built twice
	SPIGATE_IMAGE=$(CURDIR)/$(DIST)/image SPIGATE_ARM=1 go test -v -count=1 -p 1 -timeout 15m ./tests/arm ./board/image

bench: deps ## benchmarks side by side with the kernel, as ratios
	go run ./tests/bench

arm: deps ## static binaries for ARMv7, arm64 and mipsle in dist, with their sizes
	@mkdir -p $(DIST)
	@set -e; for target in $(CROSS); do \
		out=$(DIST)/spigate-$${target%%:*}; \
		env GOOS=linux $$(echo "$${target#*:}" | tr ',' ' ') $(GOBUILD) $$out; \
		printf '%-24s %9d bytes, %8d after xz -9\n' $$out $$(stat -c %s $$out) $$(xz -9 -T1 -c $$out | wc -c); \
	done

image: ## the router's image for ARMv7 in dist/image, which run.sh there starts in qemu
	@sh board/image/deps.sh
	@mkdir -p $(DIST)
	go run ./board/image -o $(DIST)/image

bpf: deps ## the objects of the program in the kernel, from netstack/xdp/bpf/forward.bpf.c
	sh netstack/xdp/bpf/build.sh netstack/xdp/bpf

# By default each new input is made smaller for up to a minute, and a short run
# would do nothing else.
fuzz: ## every fuzz target for FUZZTIME each (30s)
	@set -e; grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's|/[^/]*:func | |' | sort | \
	while read -r dir name; do \
		echo "== $$dir $$name"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$dir </dev/null; \
	done

clean: ## remove what the targets above made
	rm -rf bin $(DIST)
