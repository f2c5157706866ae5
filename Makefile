# make run          starts the service on this machine, and prints curl lines that work
# make deploy       deploys [env.production] of wrangler.toml, or ENV=staging, with the secrets that `admin init --env …` created
# make test         runs every test; FAST=1 runs only those that start no server, in less than a minute once built
# make demo         runs two APIs behind the service, and measures how soon each refuses a revoked token and a suspended client
# make simulate     runs the code under lag, crashes and lost calls, with new seeds; SEEDS=… STEPS=… for more, SEED=… to repeat one
# make mutants      checks that the simulation finds injected faults; ONLY=TEXT for some
# make model        searches every state of the protocol's model, within its large bounds; ARGS=small for those of make test
# make fuzz         runs the fuzz targets under an engine, TIME=60 seconds each; TARGET=… for those whose name contains it
# make check        checks formatting, lints, the API's description, and the dependencies: licences, sources, duplicates
# make conformance  runs the harness against this Worker, or with BASE_URL=… IDENTITIES=… against any deployment
# make bench        measures the Worker, compared with a floor and a peer; QUICK=1 for a rough look, ONLY=exchange,start for a part
#
# Each installs what it needs into .tools/ and node_modules/, and lists what you must install yourself.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PORT ?= 8787
PROFILE ?= service
WASM := wasm32-unknown-unknown
WORKER_API := verify/examples/worker
locked = $(shell grep -A1 '^name = "$(1)"$$' Cargo.lock | sed -n 's/^version = "\(.*\)"/\1/p')
TEST_RUNNER := .tools/wasm-bindgen-cli-$(call locked,wasm-bindgen)
CARGO_DENY := .tools/cargo-deny-0.20.2
NPM := node_modules/.package-lock.json
PYTHON := .tools/venv/bin/python
VENV := .tools/venv/installed
# The programs in node_modules (wrangler, the Node that it requires, wasm-opt) and in .tools take precedence over the machine's.
export PATH := $(CURDIR)/node_modules/.bin:$(CURDIR)/.tools/bin:$(PATH)
export WRANGLER_SEND_METRICS := false
export REDOCLY_TELEMETRY := off
export REDOCLY_SUPPRESS_UPDATE_NOTICE := true
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER := wasm-bindgen-test-runner

# The native programs that a target needs. The tests build all packages in one command, so that they share dependencies.
NATIVE = --package admin
FIRST_TIME = 3 to 4 minutes
EVERYTHING := --workspace --exclude bindgen
# Test programs that mostly wait, and all others.
WAITING := command hostile rough
OTHERS := $(filter-out $(WAITING),$(notdir $(basename $(wildcard tests/*.rs */tests/*.rs) $(patsubst %/main.rs,%,$(wildcard tests/*/main.rs)))))
WASM_TESTS := --target $(WASM) --no-default-features --test wasm
# Compiles a Worker of this workspace, for tools/bundle.mjs. Its WASM contains no path of the machine.
COMPILE = RUSTFLAGS="--remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}/registry/src/=" \
	cargo build --release --lib --target $(WASM) --package
AT_ONCE := @node tools/at-once.mjs
SUB := $(MAKE) --no-print-directory

.PHONY: help run deploy test demo simulate mutants model fuzz check conformance bench worker need need-python
help:
	@sed -n '/^$$/q;s/^# \{0,1\}//p' Makefile

run: need worker $(NPM)
	@cargo build --quiet $(NATIVE) && PORT=$(PORT) tools/run.sh

# ARGS are flags of `wrangler deploy`, such as --dry-run.
deploy: ENV = production
deploy: need worker $(NPM)
	@cargo build --quiet $(NATIVE) && ENV=$(ENV) tools/deploy.sh $(ARGS)

ifdef FAST
test:
	@tools/need.sh rust cc
	@cargo test $(EVERYTHING) --lib --bins --test matrix --test documents --test admin
else
test: NATIVE = $(EVERYTHING) --bins --tests --examples
test: FIRST_TIME = some 5 minutes
test: need-python worker $(NPM)
	$(AT_ONCE) 'Building the tests: 2 to 3 minutes on two cores the first time' \
		'native' 'cargo build $(NATIVE)' \
		'the simulation' 'cargo build --profile sim -p auth-edge-sim' \
		'in WASM' '$(SUB) $(TEST_RUNNER) && cargo test --no-run $(WASM_TESTS)' \
		'the Worker API' '$(SUB) $(WORKER_API)/build/index_bg.wasm' \
		'Schemathesis' '$(SUB) $(VENV)'
	$(AT_ONCE) 'The tests: 3 to 4 minutes on two cores' \
		'native' 'cargo test $(EVERYTHING) --lib --bins --examples $(OTHERS:%=--test %)' \
		'the command' 'cargo test $(EVERYTHING) --test command' \
		'rough servers' 'cargo test $(EVERYTHING) --test rough --test hostile' \
		'WASM' 'cargo test $(WASM_TESTS)' \
		'the API and its description' 'LIMIT=1000000 tools/with-dev.sh $(PYTHON) tests/api/run.py'
	$(AT_ONCE) 'The harness, the simulation and the demo: 2 minutes on two cores' \
		'the harness proves itself' 'target/debug/conformance selftest' \
		'conformance' '$(SUB) conformance NATIVE="$(NATIVE)"' \
		'fresh seeds' '$(SIMULATE) --seeds 300 --seconds 60' \
		'demo' '$(SUB) demo NATIVE="$(NATIVE)"' \
		'documentation' 'cargo test $(EVERYTHING) --doc'
endif

# Fails unless each API refuses in time, and no other client is refused. ARGS are flags of the demo, such as --svg FILE.
demo: NATIVE = --package admin --package demo
demo: need worker $(NPM) $(WORKER_API)/build/index_bg.wasm
	@echo "== Two APIs behind the service, a revocation and a suspension" && cargo build --quiet $(NATIVE)
	@tools/with-dev.sh target/debug/demo $(ARGS)

SIMULATE := cargo run --profile sim --quiet -p auth-edge-sim --
simulate:
	@$(SIMULATE) $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),8000)) --steps $(or $(STEPS),2000) $(ARGS)

mutants:
	@$(SIMULATE) --mutants $(ONLY) $(ARGS)

model:
	@cargo run --release --quiet -p model -- $(ARGS)

# `make test` runs the same targets, with few inputs each. The engine needs a C++ compiler.
fuzz:
	@TIME=$(TIME) RUNS=$(RUNS) tools/fuzz.sh $(TARGET)

# Runs against BASE_URL with IDENTITIES, or against its own wrangler dev, which must pass all cases (PROFILE=contract
# for fewer). ARGS are flags of `run`.
ifdef BASE_URL
conformance:
	@cargo run --quiet -p conformance -- run --base-url $(BASE_URL) $(if $(IDENTITIES),--identities $(IDENTITIES)) $(ARGS)
else
conformance: NATIVE = --package admin --package conformance
conformance: need worker $(NPM)
	@echo "== Conformance of the Worker under wrangler dev" && cargo build --quiet $(NATIVE)
	@tools/with-dev.sh bash -c 'target/debug/conformance run --base-url "$$BASE_URL" --identities "$$IDENTITIES" --profile $(PROFILE) $(ARGS)'
endif

check: need $(NPM) $(CARGO_DENY)
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --target $(WASM) -- -D warnings
	node tools/openapi.mjs --check
	redocly lint --extends recommended-strict openapi.yaml
	spectral lint --fail-severity warn openapi.yaml
	cargo deny --locked --workspace --all-features check licenses sources
	cargo deny --locked --exclude-dev --target $(WASM) check bans

bench: need worker $(NPM)
	@npm --prefix bench ci --no-audit --no-fund --loglevel=error && npm --prefix bench run --silent build
	@cargo run --release --quiet --package bench -- $(if $(QUICK),--quick) $(ONLY)

need:
	@tools/need.sh rust wasm cc node curl
need-python:
	@tools/need.sh rust wasm cc node curl python

# The Worker and its tools, rebuilt only if one of their sources has changed. wrangler calls this too.
worker: build/index_bg.wasm
build/index_bg.wasm: Cargo.toml Cargo.lock tools/bundle.mjs tools/shrink.mjs $(shell find src assets tools/bindgen -type f) | need
	$(AT_ONCE) 'Building the Worker and its tools: $(FIRST_TIME) on two cores the first time' \
		'the Worker' '$(COMPILE) auth-edge' \
		'native programs' 'cargo build --package bindgen && cargo build $(NATIVE)' \
		'npm packages' '$(SUB) $(NPM)'
	@echo "== Making its WASM smaller" && node tools/bundle.mjs

# The Worker API of `make demo`. Its size does not matter.
$(WORKER_API)/build/index_bg.wasm: Cargo.lock verify/Cargo.toml $(shell find verify/src $(WORKER_API)/src $(WORKER_API)/Cargo.toml -type f) | worker
	@$(COMPILE) auth-edge-verify-worker && node tools/bundle.mjs auth-edge-verify-worker $(@D)

$(NPM): package.json package-lock.json
	@npm install --no-audit --no-fund --loglevel=error && touch $@

# The runner of the WASM tests must have the same version as wasm-bindgen.
$(TEST_RUNNER):
	@tools/install.sh wasm-bindgen-cli $(@F:wasm-bindgen-cli-%=%) wasm-bindgen-test-runner && touch $@

$(CARGO_DENY):
	@echo "== Installing $(@F) into .tools/ (once, some minutes)"
	@tools/install.sh cargo-deny $(@F:cargo-deny-%=%) cargo-deny --locked && touch $@

$(VENV): tests/api/requirements.txt
	@python3 -m venv --clear .tools/venv && $(PYTHON) -m pip install --quiet --disable-pip-version-check -r $< && touch $@
