# All targets run on Debian 12 with Go, as root where packages are missing.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# One recipe at a time: several would share the machine and the lab.
.NOTPARALLEL:

# go-ceph's build tag for the installed librbd, whose minor version is Ceph's
# major version; newer ones need no tag. Expanded in recipes only, which is
# after install-deps has brought the header.
CEPH_MAJOR = $(shell awk '$$2 == "LIBRBD_VER_MINOR" { print $$3 }' /usr/include/rbd/librbd.h 2>/dev/null || true)
CEPH_RELEASE = $(CEPH_RELEASE_$(CEPH_MAJOR))
CEPH_RELEASE_16 := pacific
CEPH_RELEASE_17 := quincy
CEPH_RELEASE_18 := reef
# ceph_preview: go-ceph's FlattenWithProgress is behind it.
TAGS = -tags '$(CEPH_RELEASE) ceph_preview'
# Tests that need a lab OpenStack have the tag openstack.
TAGS_OPENSTACK = -tags '$(CEPH_RELEASE) ceph_preview openstack'

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
LAB_DIR ?= /tmp/quarantine-lab
OPENSTACK_DIR ?= /tmp/quarantine-openstack
# How often the lab's monitor commits in tests: taking a seal waits for it.
# Measurements keep Ceph's own second.
TEST_COMMIT := 50ms
FUZZTIME ?= 1m

## install-deps: install what is missing of Debian's packages (root)
.PHONY: install-deps
install-deps:
	@./integration/install-deps.sh

## build: make bin/quarantined, bin/quarantinectl (pure Go) and bin/cephlab
.PHONY: build
build: install-deps
	@mkdir -p bin
	go build $(TAGS) -o bin/quarantined ./cmd/quarantined
	CGO_ENABLED=0 go build -o bin/quarantinectl ./cmd/quarantinectl
	CGO_ENABLED=0 go build -o bin/cephlab ./integration/ceph/cmd/cephlab

## test: run every test, on a lab Ceph that is stopped at the end
.PHONY: test
test: build
	timeout -k 60 25m bin/cephlab run -commit $(TEST_COMMIT) -- go test $(TAGS) -p 2 -parallel 8 -timeout 20m $(TESTFLAGS) ./...

## test-kills: kill the daemon 100 times (KILLS) at random, some 15 minutes
.PHONY: test-kills
KILLS := 100
test-kills: build
	QUARANTINED_TEST_KILLS=$(KILLS) bin/cephlab run -commit $(TEST_COMMIT) -- go test $(TAGS) -run TestRandomKills -v -timeout 60m $(TESTFLAGS) ./cmd/quarantined

## test-openstack: run the tests on a lab OpenStack, 260 MB of packages (root)
.PHONY: test-openstack
test-openstack: build build-openstack
	QUARANTINE_BIN=$(CURDIR)/bin timeout -k 60 60m bin/openstacklab run -commit $(TEST_COMMIT) -- go test $(TAGS_OPENSTACK) -p 1 -timeout 50m $(TESTFLAGS) ./integration/openstack/...

## cover: as test, with coverage in bin/cover.out
.PHONY: cover
cover: build
	timeout -k 60 25m bin/cephlab run -commit $(TEST_COMMIT) -- go test $(TAGS) -p 2 -parallel 8 -timeout 20m -coverpkg ./... -coverprofile bin/cover.out ./...
	go tool cover -func bin/cover.out | tail -n 1

## bench: print measures beside their bars, on a lab Ceph and a RabbitMQ
.PHONY: bench
bench: build
	@./integration/install-deps.sh openstack
	go build $(TAGS) -o bin/bench ./integration/bench
	bin/cephlab run -- bin/bench

## bench-collect: measure the collection alone, on 2,000 disks of mixed policies
.PHONY: bench-collect
bench-collect: build
	go build $(TAGS) -o bin/bench ./integration/bench
	bin/cephlab run -- bin/bench -collect -policies integration/bench/testdata/mixed.yaml

## bench-sustained: adopt 40,000 disks an hour in bursts, for ten minutes
.PHONY: bench-sustained
bench-sustained: build
	go build $(TAGS) -o bin/bench ./integration/bench
	bin/cephlab run -- bin/bench -sustained 10m

## bench-scale: measure the daemon with two million disks, about an hour
.PHONY: bench-scale
bench-scale: build
	go build $(TAGS) -o bin/scale ./integration/bench/scale
	bin/cephlab run -- bin/scale

## bench-openstack: measure beside a lab OpenStack, with and without (root)
.PHONY: bench-openstack
bench-openstack: build build-openstack
	CGO_ENABLED=0 go build -o bin/bench-openstack ./integration/openstack/bench
	bin/openstacklab run -commit 1s -- bin/bench-openstack -bin bin

## fuzz: run each fuzz target for FUZZTIME (1m)
.PHONY: fuzz
fuzz: install-deps
	@found=; \
	while IFS=: read -r file target; do \
		found=yes; echo "$$target in $$(dirname "$$file")"; \
		go test $(TAGS) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")"; \
	done < <(grep -rEo 'func Fuzz[A-Za-z0-9_]+' --include='*_test.go' cmd internal integration | sed 's/func //'); \
	if [ -z "$$found" ]; then echo "error: no fuzz target found" >&2; exit 1; fi

## lint: gofmt, go vet, staticcheck and shellcheck
.PHONY: lint
lint: install-deps
	@unformatted=$$(gofmt -l cmd internal integration); \
	if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):" $$unformatted >&2; exit 1; fi
	go vet $(TAGS_OPENSTACK) ./...
	go run $(STATICCHECK) $(TAGS_OPENSTACK) ./...
	git ls-files -z -- '*.sh' .ci/run integration/opennebula/hook integration/opennebula/driver | xargs -0r shellcheck

## demo: show the main job on a real Ceph; KEEP=1 leaves it up
.PHONY: demo
demo: build
	KEEP='$(KEEP)' ./integration/demo/demo.sh

## lab-up: start a lab Ceph in LAB_DIR and say how to use it
.PHONY: lab-up
lab-up: build-lab
	@bin/cephlab up -dir '$(LAB_DIR)'

## lab-down: stop it
.PHONY: lab-down
lab-down: build-lab
	@bin/cephlab down -dir '$(LAB_DIR)'

## openstack-up: start a lab OpenStack with its Ceph in OPENSTACK_DIR (root)
.PHONY: openstack-up
openstack-up: build-openstack
	@bin/openstacklab up -dir '$(OPENSTACK_DIR)'

## openstack-down: stop both
.PHONY: openstack-down
openstack-down: build-openstack
	@bin/openstacklab down -dir '$(OPENSTACK_DIR)'

.PHONY: build-openstack
build-openstack: install-deps
	@./integration/install-deps.sh openstack
	@mkdir -p bin
	@CGO_ENABLED=0 go build -o bin/openstacklab ./integration/openstack/cmd/openstacklab

.PHONY: build-lab
build-lab: install-deps
	@mkdir -p bin
	@CGO_ENABLED=0 go build -o bin/cephlab ./integration/ceph/cmd/cephlab

## fmt: format the code
.PHONY: fmt
fmt:
	gofmt -w cmd internal integration

## help: list the targets
.PHONY: help
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)
