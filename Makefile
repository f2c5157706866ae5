# make run    the service on this machine, with a curl line that gets a token
# make test   every test, the end-to-end ones included
# make demo   two APIs behind the service, and how soon each refuses a revoked token and a suspended client
# make simulate   the code under lag, crashes and lost calls, on fresh seeds; SEEDS=… STEPS=… for more, SEED=… for one again
# make mutants    faults that the simulation must find; ONLY=TEXT for some
# make model  every state of the protocol's model, within its large bounds; ARGS=small for those of make test
# make fuzz   the fuzz targets under an engine, TIME=60 seconds each, or those whose name contains TARGET=…
# make check  formatting, lints natively and for WASM, the API's description, and the dependencies: licences, sources, duplicates
# make conformance BASE_URL=… IDENTITIES=…   the harness against any deployment; with neither, against this Worker
# make bench  the Worker measured beside a floor and a peer; QUICK=1 for a rough look, ONLY=exchange,start for a part
#
# Each installs what it needs, into .tools/ and node_modules/ of this folder where that is possible.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PORT ?= 8787
PROFILE ?= service
WASM := wasm32-unknown-unknown
WORKER_API := verify/examples/worker
locked = $(shell grep -A1 '^name = "$(1)"$$' Cargo.lock | sed -n 's/^version = "\(.*\)"/\1/p')
WORKER_BUILD := .tools/worker-build-$(call locked,worker)
WASM_BINDGEN := .tools/wasm-bindgen-$(call locked,wasm-bindgen)
CARGO_DENY := .tools/cargo-deny-0.20.2
NPM := node_modules/.package-lock.json
PYTHON := .tools/venv/bin/python
VENV := .tools/venv/installed
# The Node that wrangler accepts, wrangler itself, and wasm-opt, before whatever the machine has.
export PATH := $(CURDIR)/node_modules/.bin:$(CURDIR)/.tools/bin:$(PATH)
export WRANGLER_SEND_METRICS := false
export REDOCLY_TELEMETRY := off
export REDOCLY_SUPPRESS_UPDATE_NOTICE := true

.PHONY: help run test demo simulate mutants model fuzz check conformance bench worker setup
help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

run: setup worker ## the service on this machine
	@cargo build --quiet --package admin && PORT=$(PORT) tools/run.sh

test: setup worker $(VENV) ## every test
	@echo "== Native tests, and the Worker under wrangler dev" && cargo test --workspace
	@echo "== WASM tests, in Node" && CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=wasm-bindgen-test-runner \
		cargo test --target $(WASM) --no-default-features --test wasm
	@echo "== Fresh seeds, simulated" && $(SIMULATE) --seeds 300 --seconds 60
	@echo "== The harness proves itself" && cargo run --quiet -p conformance -- selftest
	@$(MAKE) --no-print-directory conformance
	@LIMIT=1000000 tools/with-dev.sh $(PYTHON) tests/api/run.py
	@$(MAKE) --no-print-directory demo

# Fails unless each API refuses in time, and nobody else is refused. ARGS are flags of the demo, such as --svg FILE.
demo: setup worker $(WORKER_API)/build/index_bg.wasm
	@echo "== Two APIs behind the service, a revocation and a suspension" && cargo build --quiet -p demo
	@tools/with-dev.sh target/debug/demo $(ARGS)

SIMULATE := cargo run --profile sim --quiet -p auth-edge-sim --
simulate: ## the code in a world that seeds make
	@$(SIMULATE) $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),8000)) --steps $(or $(STEPS),2000) $(ARGS)

mutants: ## faults that the simulation must find
	@$(SIMULATE) --mutants $(ONLY) $(ARGS)

model: ## every state of the protocol's model
	@cargo run --release --quiet -p model -- $(ARGS)

# `make test` runs the same targets, with few inputs each. Needs a C++ compiler, for the engine.
fuzz:
	@TIME=$(TIME) RUNS=$(RUNS) tools/fuzz.sh $(TARGET)

# Against BASE_URL with IDENTITIES, or else against a wrangler dev that it starts and stops, which must pass all cases
# (PROFILE=contract for fewer). ARGS are flags of `run`.
conformance: $(if $(BASE_URL),,setup worker)
ifdef BASE_URL
	@cargo run --quiet -p conformance -- run --base-url $(BASE_URL) $(if $(IDENTITIES),--identities $(IDENTITIES)) $(ARGS)
else
	@echo "== Conformance of the Worker under wrangler dev" && cargo build --quiet -p conformance
	@tools/with-dev.sh bash -c 'target/debug/conformance run --base-url "$$BASE_URL" --identities "$$IDENTITIES" --profile $(PROFILE) $(ARGS)'
endif

check: setup $(CARGO_DENY)
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --target $(WASM) -- -D warnings
	node tools/openapi.mjs --check
	redocly lint --extends recommended-strict openapi.yaml
	spectral lint --fail-severity warn openapi.yaml
	cargo deny --locked --workspace --all-features check licenses sources
	cargo deny --locked --exclude-dev --target $(WASM) check bans

bench: setup worker ## how fast, beside a floor and a peer
	@npm --prefix bench ci --no-audit --no-fund --loglevel=error && npm --prefix bench run --silent build
	@cargo run --release --quiet --package bench -- $(if $(QUICK),--quick) $(ONLY)

setup: $(WORKER_BUILD) $(WASM_BINDGEN) $(NPM)

BUILD_RELEASE := RUSTFLAGS="--remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}/registry/src/=" \
	WASM_BINDGEN_BIN=$(CURDIR)/.tools/bin/wasm-bindgen worker-build --release

# The Worker, built anew only when something that it is made of has changed. wrangler calls this too. No path of this machine is in it.
worker: build/index_bg.wasm
build/index_bg.wasm: Cargo.toml Cargo.lock tools/shrink.mjs $(shell find src assets -type f) | setup
	@echo "== Building the Worker"
	@$(BUILD_RELEASE)
	@node tools/shrink.mjs $@ && cp src/edge/entry.js build/

# The API of `make demo` that is a Worker. Its size does not matter there.
$(WORKER_API)/build/index_bg.wasm: Cargo.lock verify/Cargo.toml $(shell find verify/src $(WORKER_API)/src $(WORKER_API)/Cargo.toml -type f) | setup
	@echo "== Building the Worker API"
	@cd $(WORKER_API) && $(BUILD_RELEASE) --no-opt

$(WORKER_BUILD): | .tools/wasm-target
	@echo "== Installing $(@F) into .tools/ (once, some minutes)"
	@cargo install worker-build --version $(@F:worker-build-%=%) --root .tools --target-dir .tools/target && touch $@

$(WASM_BINDGEN): | .tools/wasm-target
	@echo "== Installing $(@F) into .tools/ (once, some minutes)"
	@cargo install wasm-bindgen-cli --version $(@F:wasm-bindgen-%=%) --root .tools --target-dir .tools/target && touch $@

$(CARGO_DENY):
	@echo "== Installing $(@F) into .tools/ (once, some minutes)"
	@cargo install cargo-deny --version $(@F:cargo-deny-%=%) --locked --root .tools --target-dir .tools/target && touch $@

.tools/wasm-target:
	@echo "== Adding the compile target $(WASM)"
	@test -d "$$(rustc --print target-libdir --target $(WASM))" || rustup target add $(WASM)
	@mkdir -p .tools && touch $@

$(NPM): package.json package-lock.json
	@echo "== Installing wrangler, its Node, wasm-opt and linters into node_modules/"
	@npm install --no-audit --no-fund --loglevel=error && touch $@

$(VENV): tests/api/requirements.txt
	@echo "== Installing Schemathesis and the generator of clients into .tools/venv/"
	@python3 -m venv --clear .tools/venv || { echo "This needs Python 3.10 or newer, with its module venv." >&2; exit 1; }
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -r $< && touch $@
