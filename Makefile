# Everything starts here: `make help` explains each target.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
ORCHESTRATOR_HOME ?= $(CURDIR)/.home
SECOND_CLI := .tools/claude-2.1.197
WORKERS ?= 3
SUITE ?= bookworm
KILLS ?= 1000
PYTEST ?= $(BIN)/pytest -n $(WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help env run test test-all lint unit matrix real-servers bench peers simulate month faults deploy-test lock docs second-cli clean

help: ## Explain every target
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(VENV)/.installed ## Make the environment: Python, locked dependencies, the Claude Code executable

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) was not found; install Python 3.11 or newer, or say PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: env ## Start the worker with the starter vault and one sample task (a rehearsal without credentials)
	@ORCHESTRATOR_HOME="$(ORCHESTRATOR_HOME)" exec $(BIN)/orchestrator up --sample

test: env second-cli lint unit ## Run everything that CI runs

lint: env ## Style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

unit: env ## Only the tests, in parallel
	$(PYTEST)

test-all: ## The tests on every supported Python found (3.11 to 3.13)
	@for version in 3.11 3.12 3.13; do \
	  if python$$version -c '' 2>/dev/null; then \
	    echo "== Python $$version"; \
	    $(MAKE) --no-print-directory env second-cli unit PYTHON=python$$version VENV=.venv-$$version || exit 1; \
	  else echo "== Python $$version was not found: skipped"; fi; \
	done

matrix: env second-cli ## Print the whitelist matrix: permission modes x calls x versions of the real CLI
	$(BIN)/python bench/whitelist_matrix.py

real-servers: env ## Try real MCP servers from npm and PyPI, from installation to an agent's call (needs the registries)
	$(BIN)/python bench/real_servers.py

bench: env ## Run the benchmarks; each prints its figures with machine and versions
	@for name in spawn claim wake stream sync; do echo "== $$name"; $(BIN)/python bench/$$name.py || exit 1; done

peers: env ## Measure beside procrastinate, pgqueuer and huey (installs them into .tools/peers; needs a registry)
	@if [ -f .tools/peers/.installed ]; then :; else \
	  $(PYTHON) -m venv .tools/peers && \
	  .tools/peers/bin/pip install --quiet --disable-pip-version-check --requirement requirements/peers.txt && \
	  touch .tools/peers/.installed || \
	  { rm -rf .tools/peers; echo "make: the peers could not be installed; is a package registry reachable?" >&2; exit 1; }; \
	fi
	$(BIN)/python bench/peers.py $(PEERS)

faults: env ## Kill, stop and cut workers and databases for long, and print a table; KILLS=1000 takes about twelve minutes on two cores
	PYTHONPATH=tests $(BIN)/python -m faults --kills $(KILLS)

simulate: env ## A fleet of 500 hosts and a million tasks in virtual time (about half an hour)
	$(BIN)/python bench/simulate.py

deploy-test: env ## Boot the systemd units and build the container image; needs root, and says what else; SUITE=trixie
	$(BIN)/python deploy/test --suite $(SUITE) $(PLACE)

month: env ## A month of load in virtual time: the database stays within its retention windows
	$(BIN)/python bench/month.py
	$(BIN)/python bench/month.py --tasks 500 --database postgresql

docs: env ## Write the generated parts of the documentation anew
	$(BIN)/python -m orchestrator.settings.page docs/settings.md
	$(BIN)/python -m orchestrator.cli.page docs/commands.md
	$(BIN)/python -m orchestrator.api.page docs/events.md

second-cli: ## A second version of the Claude Code executable, for the tests (needs npm, else they are skipped)
	@if [ -d $(SECOND_CLI)/node_modules ]; then :; \
	elif command -v npm >/dev/null; then \
	  mkdir -p $(SECOND_CLI) && cp requirements/claude-2.1.197/*.json $(SECOND_CLI)/ && \
	  (cd $(SECOND_CLI) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || \
	  { rm -rf $(SECOND_CLI); echo "notice: npm could not install the second CLI; tests that need it are skipped"; }; \
	else echo "notice: npm was not found; tests that need a second version of the CLI are skipped"; fi

lock: ## Resolve the dependencies again and pin them by hash
	$(PYTHON) -m venv .tools/lock && .tools/lock/bin/pip install --quiet uv
	.tools/lock/bin/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --extra claude --group dev pyproject.toml -o requirements/dev.txt
	.tools/lock/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --extra claude --constraint requirements/dev.txt pyproject.toml -o requirements/runtime.txt
	sed -n 's/^requires = \["\(.*\)"\]/\1/p' pyproject.toml | .tools/lock/bin/uv pip compile --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --constraint requirements/dev.txt - -o requirements/build.txt

clean: ## Remove environments, caches and the sample state
	rm -rf .venv .venv-* .tools .home build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
