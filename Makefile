# Every command of this project; `make help` lists them.
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

.PHONY: up
up: $(VENV)/.local  ## start everything on this machine, send one event, print what to do next
	@$(BIN)/events up

.PHONY: test
test: $(VENV)/.dev  ## lint, types, unit, contract and integration tests on real Kafka and ClickHouse
	@$(MAKE) --no-print-directory lint
	@$(BIN)/pytest tests

.PHONY: lint
lint: $(VENV)/.dev  ## format and lint rules, types, and who may import whom
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

.PHONY: format
format: $(VENV)/.dev  ## rewrite the code in the house format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

.PHONY: faults
faults: $(VENV)/.dev  ## prove the guarantees under every fault; SEED=7 chooses another load
	@$(BIN)/python -m tests.faults --seed $(or $(SEED),1)

.PHONY: bench
bench: $(VENV)/.dev  ## measure against the naive alternatives; writes docs/benchmarks.md
	@$(BIN)/python -m tests.bench

.PHONY: lock
lock: $(VENV)/.dev  ## resolve the dependencies anew into requirements*.lock
	@deploy/local/lock.sh $(BIN)/uv

$(VENV)/.local: requirements.lock deploy/local/environment.sh pyproject.toml
	@deploy/local/environment.sh $(VENV) requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock deploy/local/environment.sh pyproject.toml
	@deploy/local/environment.sh $(VENV) requirements-dev.lock
	@touch $@ $(VENV)/.local
