# What this repository can do, one target each: `make` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Recipes share the machine's cores through the go command, not through make.
.NOTPARALLEL:

GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X main.version=$(VERSION)
# The race detector needs a C compiler; without one the tests run without it.
RACE := $(if $(shell command -v gcc),-race,)
# How long `make fuzz` gives each fuzzer.
FUZZTIME ?= 30s
# How long `make torture` lets each test go on that has no end of its own, and
# the seed of what is random; 0 takes any.
TIME ?= 10m
SEED ?= 0

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/leat and what runs in a cluster, bin/controller and bin/dispatcher
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: demo
demo: build ## Show the whole way of an event, with a broker killed in the middle
	$(GO) run ./test/demo -leat bin/leat

.PHONY: test
test: vet lint verify test-unit test-binary test-kube ## Everything that must pass before a change goes in

.PHONY: vet
vet: ## go vet
	$(GO) vet ./...

.PHONY: lint
lint: ## golangci-lint, at the version that tools/go.mod pins
	$$(hack/tool.sh golangci-lint) run ./...

.PHONY: fmt
fmt: ## Format the code as lint wants it
	$$(hack/tool.sh golangci-lint) fmt ./...

.PHONY: test-unit
test-unit: ## Tests of the packages and of the architecture, with the race detector
	@$(if $(RACE),true,echo 'no gcc: the tests run without the race detector')
	$(GO) test $(RACE) ./cmd/... ./hack/... ./pkg/...

.PHONY: test-binary
test-binary: ## Tests of the running binary: the specs, crashes, scripts
	$(GO) test $(RACE) $$($(GO) list ./test/... | grep -v '/test/kube$$')

.PHONY: test-kube
test-kube: ## Tests of controller and dispatcher against a real kube-apiserver
	@test/kube/controlplane/build.sh >/dev/null
	$(GO) test $(RACE) ./test/kube

.PHONY: e2e
e2e: ## Install Leat with ko on the cluster of KUBECONFIG, by way of KO_DOCKER_REPO, and test it there
	@: "$${KUBECONFIG:?names the kubeconfig of a cluster with Knative Eventing, which gets Leat; set it}"
	@: "$${KO_DOCKER_REPO:?names the registry to which ko pushes and from which the cluster pulls; set it}"
	$(GO) test -tags e2e -count 1 -v -timeout 30m ./test/e2e

.PHONY: bench
bench: build ## Measure Leat beside its baselines, about 25 minutes; BENCH=-quick for two, see docs/performance.md
	$(GO) run ./test/bench $(BENCH)

.PHONY: fuzz
fuzz: ## Run each fuzzer for FUZZTIME (30s)
	hack/fuzz.sh $(FUZZTIME)

.PHONY: torture
torture: export LEAT_TORTURE_TIME = $(TIME)
torture: export LEAT_SEED = $(SEED)
torture: ## Crashes, rot, full disks, bad routes, backlogs: TIME (10m) each, with SEED
	$(GO) test -count 1 -timeout 0 -v -run '^(TestCrash|TestDamage|TestEngine)$$/^(Model)?$$' ./pkg/eventlog ./pkg/engine/embedded
	$(GO) test -count 1 -timeout 0 -v -run '^(TestKill|TestPowerCut)$$' ./test/crash -rounds 50 -seed $(SEED)
	$(GO) test -count 1 -timeout 0 -v ./test/torture

.PHONY: generate
generate: generate-licenses generate-code ## Write again all that is generated

.PHONY: verify
verify: verify-licenses verify-code ## Fail if something generated is not up to date

.PHONY: generate-licenses
generate-licenses: ## third_party/licenses, from the modules that the commands use
	$(GO) run ./hack/licenses

.PHONY: verify-licenses
verify-licenses:
	$(GO) run ./hack/licenses -verify

.PHONY: generate-code
generate-code: ## Deep copies of the API types
	hack/update-codegen.sh

.PHONY: verify-code
verify-code:
	hack/update-codegen.sh -verify

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin
