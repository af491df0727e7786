# What people run here. `make setup` brings an ordinary Debian 12 machine to where the rest works; it is cheap to repeat.
SHELL := /bin/sh
MODULES := node_modules/node-linux-$(shell uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
export PATH := $(CURDIR)/$(MODULES)/bin:$(CURDIR)/node_modules/.bin:$(PATH)
export REPRIEVE_CACHE ?= /var/cache/reprieve

IMAGE ?= localhost/reprieve:latest
BENCHES := $(patsubst bench/%.ts,%,$(filter-out bench/lib%,$(wildcard bench/*.ts)))

.PHONY: help setup check format docs test smoke unit test-vm e2e programs soak demo image image-archive bench clean clean-cache
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

setup: ## installs what is missing: npm and Debian packages, root filesystems (once)
	@scripts/setup.sh

check: setup ## format, lint, types, layering, documents
	prettier --check --log-level warn .
	oxlint
	tsc --noEmit
	node scripts/check-layers.ts
	node scripts/check-prose.ts
	node scripts/docs.ts --check

format: setup ## writes the format that check wants
	prettier --write --log-level warn .

docs: setup ## writes the generated parts of the documents, and their pictures
	node scripts/docs.ts

test: setup ## every test, those that run containers one after the other: fifty minutes
	@scripts/test.sh all

smoke: check ## check, the tests that need no containers, and six stories of pods that die: eight minutes on two cores
	@scripts/test.sh smoke

unit: setup ## the tests that need no containers
	@scripts/test.sh unit

test-vm: setup ## the tests inside a virtual machine: FILES="test/e2e/eviction.test.ts", else all that run pods
	@REPRIEVE_VM_FILES="$(or $(FILES),all)" scripts/test.sh vm

soak: setup ## the repetitions that are too long for every day
	REPRIEVE_SOAK=1 REPRIEVE_PROPERTY_RUNS=100000 scripts/test.sh soak

programs: setup ## forty programs of Debian, each restored twice: writes the table of docs/usage.md
	REPRIEVE_PROGRAMS=all tap --jobs=1 --timeout=3600 test/e2e/programs/programs.test.ts
	node scripts/docs.ts

demo: setup ## a pod dies and carries on, told as it happens (WORKLOAD=torch for PyTorch)
	@node demo/main.ts

image: setup ## builds both images: IMAGE=localhost/reprieve:latest BASE=a-debian-13-image ARCH=amd64
	@scripts/build-image.sh $(IMAGE)

image-archive: image ## build/reprieve-image.tar and the control plane's, for docker load or a registry
	@scripts/build-image.sh --archive $(IMAGE)

e2e: setup ## the same on the cluster that KUBECONFIG names, with IMAGE
	node test/cluster/main.ts

bench: setup $(BENCHES:%=bench-%) ## every benchmark

bench-%: setup
	@node bench/$*.ts

clean: ## what builds and dead test runs have left
	@if [ -x $(MODULES)/bin/node ]; then node test/harness/sweep.ts; node test/vm/sweep.ts; fi
	rm -rf build .tap

clean-cache: clean ## the root filesystems as well
	rm -rf $(REPRIEVE_CACHE)
