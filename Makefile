# Everything a newcomer needs; each target makes the virtual environment it uses.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOAK_SECONDS ?= 60

.PHONY: demo test unit coverage mutation lint format interop soak bench conformance lowest fuzz clean generate docs

demo: $(STAMP)  ## move 64 MiB between two peers on loopback
	$(BIN)/peerwire demo

test: lint coverage  ## lint, types, the test suite, and what it covers

unit: $(STAMP)
	$(BIN)/python -m pytest -n auto -m "not interop" --cov --cov-report=term

coverage: unit  ## each module of the core covered by its own tests, each line and branch
	$(BIN)/python -m tests.own_coverage

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(STAMP)  ## write what is written after other sources
	$(BIN)/python scripts/generate_sync.py
	$(BIN)/ruff format src/peerwire/sync
	$(BIN)/ruff check --fix src/peerwire/sync
	$(BIN)/python scripts/draw_architecture.py
	$(BIN)/python scripts/draw_screen.py
	$(BIN)/python scripts/draw_states.py
	$(BIN)/python scripts/write_command_line.py

docs: $(VENV)/.docs  ## the site, in docs/_build/html; a warning is an error
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -b html docs docs/_build/html
	@echo "built: docs/_build/html/index.html"

interop: $(STAMP)  ## the clients that are installed on this machine; says which are missing
	$(BIN)/python -m pytest -n 4 -m interop -ra tests/interop

mutation: $(VENV)-mutation/.installed  ## what no test would notice; some minutes a module
	nice -n 10 $(VENV)-mutation/bin/python -m tests.mutation $(MODULES)

soak: $(STAMP)  ## 2,000 peers on one server, a tenth of them hostile: what breaks, what grows?
	$(BIN)/python -m bench.soak --seconds $(SOAK_SECONDS)

# BENCH=quick takes some two minutes instead of ten, and leaves what docs/ tells alone.
bench: $(STAMP)  ## every figure, beside the clients that are installed here; says which are missing
	$(BIN)/python -m bench $(if $(filter quick,$(BENCH)),--quick,--json $(FIGURES).json --svg $(FIGURES).svg)

FIGURES := docs/topics/performance

conformance: $(STAMP)  ## the clients that are installed here, asked rule by rule; CONFORMANCE="--client aria2 --slow"
	$(BIN)/python -m tests.check docs/conformance $(CONFORMANCE)

lowest: $(VENV)-lowest/.installed  ## with the oldest versions that the extras allow
	$(VENV)-lowest/bin/python -m pytest -q -n auto -m "not interop" \
		tests/cli tests/capture tests/test_rc4.py tests/test_encryption.py tests/asyncio/test_encryption.py

fuzz: $(VENV)/.fuzz  ## each target for FUZZ_SECONDS, 60 unless it is set
	$(BIN)/python -m fuzz $(FUZZ_TARGETS)

clean:
	rm -rf $(VENV) $(VENV)-* .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache

# pip gained --group in 25.1, which no distribution ships yet, so it is brought up to date first.
$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[cli]" --group test --group lint
	touch $@

$(VENV)/.docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --group docs
	@touch $@

# The fuzzer has a wheel for each Python up to 3.13; building it takes clang's libFuzzer.
$(VENV)/.fuzz: $(STAMP)
	@$(BIN)/python -m pip install --quiet --only-binary atheris --group fuzz || { \
		echo "There is no atheris for $$($(BIN)/python --version): nothing is fuzzed here." \
			"make test runs the corpus all the same."; exit 1; }
	@touch $@

# The versions are read from the lower bounds in pyproject.toml.
LOWEST = $(shell $(PYTHON) -c "import tomllib; extras = tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']; print(*{d.split(';')[0].replace('>=', '==') for e in extras.values() for d in e})")

$(VENV)-lowest/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(VENV)-lowest/bin/python -m pip install --quiet --editable . $(LOWEST) --group test
	touch $@

$(VENV)-mutation/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)-mutation
	$(VENV)-mutation/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(VENV)-mutation/bin/python -m pip install --quiet --editable ".[cli]" --group test --group mutation
	touch $@
