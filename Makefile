# Every target that a person or the build server runs. `make help` lists them.
# The first run sets up what is missing (scripts/setup); CARGO_TARGET_DIR may point to a shared build cache.
SHELL := /bin/bash
export PATH := $(HOME)/.cargo/bin:$(PATH)
CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
DEMO_ARGS ?=
BENCH_ARGS ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## Lists the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Checks for toolchain, C compiler, JDK, Maven, Python; as root with apt it installs what is missing
	@scripts/setup

.PHONY: build
build: setup-build ## Builds the release binary to target/release/tributary
	$(CARGO) build --release --package tributary
	@if [ "$(TARGET_DIR)" != target ]; then mkdir -p target/release && cp -f "$(TARGET_DIR)/release/tributary" target/release/tributary; fi

.PHONY: setup-build
setup-build:
	@scripts/setup build

.PHONY: demo
demo: build ## Replays a year of weather through Kafka into ./demo-lake, queries it and verifies it (DEMO_ARGS="--kafka HOST:PORT")
	target/release/tributary demo $(DEMO_ARGS)

.PHONY: test
test: setup ## Unit tests, models, 300 simulation seeds, tests on a real Kafka broker with a kill round, independent readers
	$(CARGO) test --workspace
	$(CARGO) test --workspace --features planted-bugs --test models --test planted --test simulation planted

.PHONY: test-kill
test-kill: setup ## Slow: lake-writers killed at every fail point under 1,000,000 records, sealers and writers for three minutes, the bridge, Kafka and Mosquitto under 200,000 messages
	$(CARGO) test --workspace --features tributary/fail-points --test kill --test seal_kill --test bridge_kill -- --nocapture

.PHONY: test-memory
test-memory: setup ## Slow: memory of the process against its budget (MEMORY_RECORDS=10000000 for the long one); target/memory.json
	$(CARGO) test --workspace --features tributary/fail-points --test memory -- --nocapture

.PHONY: lint
lint: setup-build ## Formatting and clippy; warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --workspace --all-targets --features planted-bugs,fail-points -- -D warnings

.PHONY: deny
deny: setup-build ## Licences, duplicate versions and sources of all dependencies (installs cargo-deny when it is missing)
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check bans licenses sources

.PHONY: sim
sim: setup-build ## Simulation of the table log under faults with SEEDS seeds (default 5000)
	SIM_SEEDS=$(or $(SEEDS),5000) $(CARGO) test --workspace --test simulation -- --nocapture

.PHONY: bench
bench: setup ## Benchmarks of the release binary on a real broker, about 10 minutes; figures go to target/bench/*.json
	$(CARGO) build --release --package tributary --package bench
	"$(TARGET_DIR)/release/bench" ingest --output target/bench/ingest.json $(BENCH_ARGS)
	"$(TARGET_DIR)/release/bench" bridge --output target/bench/bridge.json
	"$(TARGET_DIR)/release/bench" seal --output target/bench/seal.json

.PHONY: fuzz
fuzz: setup-build ## Compares the decode with apache-avro for FUZZ_SECONDS (default 600) on random schemas and damaged records; FUZZ_SEED=n replays
	FUZZ_SECONDS=$(or $(FUZZ_SECONDS),600) $(CARGO) test --package event-schema --test fuzz -- --nocapture

.PHONY: docs
docs: setup-build ## Writes the generated pages and schemas again (docs/refusals.md, docs/settings.md, schemas/tributary.schema.json)
	UPDATE_DOCS=1 $(CARGO) test --workspace --lib -- refusals_page the_json_schema

.PHONY: fmt
fmt: ## Formats the code
	$(CARGO) fmt --all
