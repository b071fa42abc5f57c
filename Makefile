# Needs Python 3.11 or newer and make; everything else is installed into .venv.
PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
# Tests wait for servers half of their time; more than two at once would slow each other's measurements.
TESTS_AT_ONCE := 2
BIN := $(VENV)/bin
READY := $(VENV)/.ready

export UV_PYTHON_DOWNLOADS = never
export VIRTUAL_ENV = $(CURDIR)/$(VENV)

.PHONY: run lab record findings outputs picture schemas test thorough lint types bench lock clean

run: $(READY)  ## measures everything with the profile smoke
	$(BIN)/capacity run --exit-zero --profile smoke

lab: $(READY)  ## JupyterLab on the notebooks; PORT=8890 where it is to be that port and no other
	$(BIN)/jupyter lab notebooks --allow-root $(if $(PORT),--port=$(PORT) --ServerApp.port_retries=0)

record: $(READY)  ## the recordings that the notebooks open on, measured anew, and the notebooks' kept outputs
	rm -rf build/record build/breaking
	$(BIN)/capacity run --exit-zero --profile standard --only database,redis,queue,gateway --into build/record
	$(BIN)/capacity run --exit-zero --profile smoke --only failover,breaking_point --into build/breaking
	rm -rf data/recorded && cp -r build/record/recordings data/recorded && cp -r build/breaking/recordings/* data/recorded
	$(MAKE) findings

findings: $(READY)  ## the findings of the committed recordings and the notebooks' kept outputs, derived again
	mkdir -p build data/recorded/findings
	for path in notebooks/[1-7]0_*.ipynb; do \
		$(BIN)/papermill --no-progress-bar $$path build/findings.ipynb --cwd notebooks \
			-p results $(CURDIR)/data/recorded/findings || exit 1; \
	done
	$(BIN)/python docs/plan.py
	$(MAKE) outputs

outputs: $(READY)
	$(BIN)/jupyter nbconvert --log-level=ERROR --to notebook --coalesce-streams --execute --inplace notebooks/*.ipynb
	$(BIN)/nbstripout --keep-count notebooks/*.ipynb

picture: $(READY)  ## docs/report.png: the first screen of the report on the committed recordings, seen by Chromium
	$(BIN)/python docs/picture.py

schemas: $(READY)  ## data/schemas and docs/files.md, from the models of the files
	$(BIN)/capacity check --schemas data/schemas
	$(BIN)/python docs/files.py

test: $(READY)  ## the tests
	$(BIN)/python -m pytest --numprocesses $(TESTS_AT_ONCE) --dist loadfile --no-loadscope-reorder --durations=25

thorough: $(READY)  ## the tests that repeat or vary these, as CI runs beside them
	$(BIN)/python -m pytest -m thorough

lint: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

bench: $(READY)  ## beside pgbench and redis-benchmark where these are installed; writes benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

$(READY): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	@$(BIN)/uv pip sync --quiet requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --editable .
	@touch $@

lock: $(READY)  ## after a change of the dependencies in pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
		--extra dev pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache
