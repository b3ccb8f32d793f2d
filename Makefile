# What there is to do here. Each target says what it needs when that is missing.

.PHONY: help test lint openapi security-profile banks bench instructions demo torture torture-short ha ha-short dr fuzz fuzz-short siege bench-edge residency-proof charts sbom
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Starts PostgreSQL 15 and Redis of its own.
test: ## Run all tests: Rust, certified OAuth software, a browser
	@scripts/test.sh

lint: ## Check formatting, lints, bank profiles and the API document
	cargo fmt --all --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets --features consentry/plugins,consentry/crash-points,consentry/leaks --quiet -- -D warnings
	cargo clippy -p consentry --quiet -- -D warnings
	cargo run --quiet -p consentry -- banks lint
	cargo run --quiet -p consentry -- openapi | diff -u openapi/consentry.json -
	cargo run --quiet -p consentry -- banks schema | diff -u openapi/bank-profile.schema.json -

openapi: ## Write the API document and the schema of bank profiles anew
	cargo run --quiet -p consentry -- openapi > openapi/consentry.json.new
	mv openapi/consentry.json.new openapi/consentry.json
	cargo run --quiet -p consentry -- banks schema > openapi/bank-profile.schema.json.new
	mv openapi/bank-profile.schema.json.new openapi/bank-profile.schema.json

security-profile: ## Write docs/security-profile.md anew, by running the Rust tests
	@scripts/test.sh --tables

banks: ## Write docs/banks.md anew, the same way
	@scripts/test.sh --tables

bench: ## Measure the whole path beside nginx, HAProxy and Caddy, and the parts; writes docs/performance.md
	@scripts/bench.sh

instructions: ## Hold the instructions of a read to what is known (UPDATE=1: take what is counted)
	@scripts/instructions.sh $(if $(UPDATE),--update)

bench-edge: ## Measure the edge beside nginx (CRS=FOLDER: with its rules in both); writes docs/edge-measurements.md
	@scripts/bench-edge.sh

siege: ## Besiege a gateway, and say what clients that behave notice of it
	@scripts/siege.sh

torture: ## Torture payments on both databases (PAYMENTS=10000), killing whatever can be killed
	@scripts/torture.sh

torture-short: ## The same for less than a minute, on SQLite
	@scripts/torture.sh --short

# Starts three etcd, PostgreSQL under Patroni, PgBouncer, Redis with sentinels and two gateways of its own.
ha: ## Break and move engines and gateways under traffic, lose a region and restore it; writes docs/high-availability.md
	@scripts/ha.sh

ha-short: ## The same for less than a minute and a half: restart, switchover, a primary killed
	@scripts/ha.sh --short

dr: ## Lose a region with all its copies, and restore it from a backup
	@scripts/ha.sh --drill-only

fuzz: ## Feed hostile input to what reads it (SECONDS=600 for each target, TARGET= for one)
	@scripts/fuzz.sh $(or $(SECONDS),600)

fuzz-short: ## The same for a minute each, as the tests do it
	@scripts/fuzz.sh 60

demo: ## Play the whole journey in a sandbox of its own, then stop
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && cargo run --quiet -p consentry -- sandbox --demo --data-dir "$$folder" --port-base 18440

charts: ## Judge the chart, its alerts, the image and the systemd unit (UPDATE=1: take what is rendered as right)
	@scripts/charts.sh $(if $(UPDATE),--update)

sbom: ## Write what the binary is made of (CycloneDX) to target/sbom
	@scripts/sbom.sh

# Starts four PostgreSQL and three Redis of its own.
residency-proof: ## Search every byte of each cell for persons of other regions, and find deliberate leaks
	@scripts/residency-proof.sh
