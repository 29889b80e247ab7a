# `make` alone lists what there is.
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080
ARGS ?=
MINUTES ?= 5
# Most tests wait for servers rather than compute; each worker has servers of its own.
WORKERS ?= 3

# Compiled modules are kept, whatever the shell says: a run of the tests starts hundreds of processes, and each would compile all
# that it imports.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help

.PHONY: help
help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: ## Make .venv with the locked versions and the project in it (PYTHON= picks an interpreter)
	@PYTHON='$(PYTHON)' deploy/bin/make-venv $(VENV)

.PHONY: dev
dev: dashboard ## Run Leveret with the example jobs, with nothing else installed (PORT=8080)
	@PYTHONPATH=worker_sdk exec $(BIN)/leveret dev examples.app --port $(PORT)

.PHONY: dashboard
dashboard: install ## Build the dashboard, if its sources changed
	@$(BIN)/python api/dashboard_build.py

.PHONY: test
test: dashboard ## Run every test on real servers, started for it (ARGS= goes to pytest, WORKERS= says how many at once)
	@deploy/bin/test-packages
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

.PHONY: test-all
test-all: dashboard ## Run every test, the random and exhaustive ones at their full length: hours, for a release
	@deploy/bin/test-packages
	@LEVERET_EXHAUSTIVE=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --timeout 1800 $(ARGS)

.PHONY: chaos
chaos: install ## Break a whole Leveret again and again and look for what is lost (MINUTES=5, SEED=, FAULTS= repeats some, ARGS=)
	@deploy/bin/test-packages
	@PYTHONPATH=tests $(BIN)/python -m chaos.campaign --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) \
		$(if $(FAULTS),--faults '$(FAULTS)') $(ARGS)

.PHONY: test-unit
test-unit: install ## Run the tests that need no server (ARGS= goes to pytest)
	@$(BIN)/python -m pytest tests/unit $(ARGS)

.PHONY: bench
bench: install ## Measure throughput and latency, on private servers or those of LEVERET_*_URL (ARGS= goes to leveret bench)
	@$(BIN)/leveret bench $(ARGS)

.PHONY: check
check: check-style check-mypy check-pyright check-imports check-dashboard ## Check style, types and who may import whom

.PHONY: check-style
check-style: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

.PHONY: check-mypy
check-mypy: install
	@$(BIN)/mypy

.PHONY: check-pyright
check-pyright: install
	@$(BIN)/pyright

.PHONY: check-imports
check-imports: install
	@$(BIN)/lint-imports --no-logo

.PHONY: check-dashboard
check-dashboard: install
	@$(BIN)/python api/dashboard_build.py check

.PHONY: format
format: install ## Format the code and mend what a tool can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/python api/dashboard_build.py format

# uv pins for every platform at once; pip cannot.
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)
UV = $(or $(shell command -v uv),$(wildcard $(BIN)/uv),$(error make lock needs uv: https://docs.astral.sh/uv))

.PHONY: lock
lock: ## Write requirements/*.txt from pyproject.toml, keeping versions that still fit (UPGRADE=1 takes newer ones)
	@$(LOCK) pyproject.toml --extra dev --extra examples --group test --group build -o requirements/dev.txt
	@$(LOCK) pyproject.toml --extra server -c requirements/dev.txt -o requirements/server.txt
	@$(LOCK) pyproject.toml --extra server --extra examples -c requirements/dev.txt -o requirements/examples.txt
	@$(LOCK) --group build -c requirements/dev.txt -o requirements/build.txt

.PHONY: env
env: ## Write .env for docker compose, with passwords made for this machine
	@deploy/bin/make-env

.PHONY: build
build: dashboard ## Build the wheel and the source archive into dist/
	@$(BIN)/python -m hatchling build

.PHONY: clean
clean: ## Remove what was built and cached; .venv and your data in .leveret/ stay
	rm -rf dist api/leveret_api/static .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -not -path '*/node_modules/*' -prune -exec rm -rf {} +
