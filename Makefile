# The index of commands. `make` prints it.

FUNCTIONS := $(notdir $(wildcard functions/*))
# cargo-lambda is one of the Python packages that `make setup` installs.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export SAM_CLI_TELEMETRY ?= 0

.DEFAULT_GOAL := help
# cargo would wait for itself.
.NOTPARALLEL:
.PHONY: help run setup tools test test-rust test-infra test-client test-api test-examples test-browser build test-built zips bench fmt lint deploy deploy-page

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## start the local stack and its page on http://localhost:8080
	cargo run

setup: ## install what the tests need: Python checkers, npm packages, Chromium
	@tests/setup.sh

tools: ## install only the Python tools into .venv: SAM CLI, cargo-lambda, Zig, checkers
	@tests/setup.sh python

test: setup ## run every test
	@$(MAKE) --no-print-directory test-infra test-client test-rust test-api test-examples test-browser

# Many tests wait for most of their time: twice as many as there are processors run at once.
test-rust: setup ## run the Rust tests
	@if cargo nextest --version >/dev/null 2>&1; \
	  then cargo nextest run --workspace -j $$((2 * $$(getconf _NPROCESSORS_ONLN))); \
	  else cargo test --workspace --lib --bins --tests; fi

test-infra: .venv/.infra-checked .venv/.circles-checked ## check the template, its checker, links, workflows, and import circles

# Only what changed is checked again.
.venv/.infra-checked: tests/requirements.txt dashboard/index.html crates/platform/src/metrics.rs \
  $(wildcard $(shell git ls-files -co --exclude-standard "*.md")  .github/*.yml .github/workflows/*.yml infra/*.yaml infra/*.py infra/*.sh functions/*/Cargo.toml functions/webhook/src/*.rs) | setup
	.venv/bin/python infra/check.py
	.venv/bin/python -m unittest discover -s infra
	.venv/bin/zizmor --offline --quiet .github
	@touch $@

.venv/.circles-checked: tests/circles.py tests/test_circles.py \
  $(shell find . \( -name target -o -name node_modules -o -name .venv \) -prune -o -name '*.rs' -print) | setup
	.venv/bin/python tests/circles.py
	.venv/bin/python -m unittest discover -s tests
	@touch $@

test-api: setup ## let schemathesis try the HTTP API of the local stack
	cargo build
	.venv/bin/python tests/fuzz_api.py

test-examples: setup ## run the endpoints in docs/examples against the local stack
	cargo build
	cargo build -p flows --example endpoints
	npm --prefix docs/examples/typescript run build
	.venv/bin/python tests/examples.py

test-client: setup ## run the client package's tests, and check that its built file is up to date
	npm --prefix client test

test-browser: setup ## run the browser tests against the local stack
	@if [ -f tests/browser/package.json ]; \
	  then cargo build && npm --prefix tests/browser test; \
	  else echo "tests/browser: no browser tests"; fi

build: setup ## build the Lambda functions for this machine into target/lambda
	cargo lambda build --locked --release --compiler cargo --skip-target-check $(FUNCTIONS:%=-p %)
	.venv/bin/python infra/check_built.py target/lambda

# Without the long link of a release, whose sizes and starts `make build` and the benchmarks watch;
# and without the tests that run no function, or choose by themselves how.
test-built: setup ## run the flow tests with the functions in processes of their own, as Lambda has them
	cargo build
	@for name in $(FUNCTIONS); do \
	  mkdir -p target/functions/$$name && ln -sf ../../debug/$$name target/functions/$$name/bootstrap; done
	@if cargo nextest --version >/dev/null 2>&1; \
	  then POSTHORN_FUNCTIONS=target/functions cargo nextest run --workspace \
	    -E 'package(flows) & binary(it) - test(/^(lambda|mistakes|policies|process|processes|receiver|template)::/)'; \
	  else POSTHORN_FUNCTIONS=target/functions cargo test -p flows --test it; fi

# Zig, which comes with cargo-lambda, links against a glibc that Lambda has, and for both processors.
ARCHITECTURE ?= arm64
zips: tools ## build the functions for AWS into target/zips; ARCHITECTURE=arm64 or x86_64
	cargo lambda build --locked --release --$(subst _,-,$(ARCHITECTURE)) --output-format zip $(FUNCTIONS:%=-p %)
	.venv/bin/python infra/check_built.py target/lambda
	@mkdir -p target/zips
	@for name in $(FUNCTIONS); do cp target/lambda/$$name/bootstrap.zip target/zips/$$name-$(ARCHITECTURE).zip; done
	@ls -l target/zips

bench: ## run the benchmarks
	cargo bench -p bench

fmt: ## format the Rust code
	cargo fmt

lint: setup ## look for mistakes without running anything
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings
	.venv/bin/python infra/check.py

deploy: tools ## build for AWS and deploy; asks for the parameters
	cd infra && sam build && sam deploy --guided

deploy-page: ## upload the page of a stack that has Dashboard=on (STACK=posthorn)
	@infra/deploy-page.sh $(STACK)
