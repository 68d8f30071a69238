# Everything one does with this repository. Needs Python 3.11 or newer, make, and a package
# index that pip can reach; all that is installed goes into .venv, nothing anywhere else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CONFIG ?= config/demo.yaml

PLUGINS := $(patsubst %/setup.cfg,%,$(wildcard plugins/*/setup.cfg))
RUN_PLUGINS := plugins/ocppgw-modbus
TYPED := ocppgw $(foreach plugin,$(PLUGINS),$(plugin)/$(subst -,_,$(notdir $(plugin))))
METADATA := setup.cfg pyproject.toml $(addsuffix /setup.cfg,$(PLUGINS))
# Tests that start processes; they run beside the others, on another processor.
PROCESSES := $(wildcard tests/cli tests/crash tests/endtoend tests/foreign tests/plugins_wheel)

.PHONY: help run test lint format bench bench-year docs coverage check clean

help:
	@echo "make run       installs what is needed into $(VENV) and runs $(CONFIG)"
	@echo "make test      runs all tests (installs the tools for it first)"
	@echo "make lint      style and types"
	@echo "make coverage  the coverage of the last 'make test', against its limits"
	@echo "make check     what CI runs: test, lint, coverage"
	@echo "make bench     measures the central system"
	@echo "make bench-year  lives through a year of one connector: what it does to a flash card"
	@echo "make docs      writes the generated parts of docs/"
	@echo "make format    formats the sources"
	@echo "make clean     removes $(VENV) and all that was built"

run: $(VENV)/run.stamp
	@echo "Running $(CONFIG); its data is in var/. Ctrl-C ends it."
	@echo "In another terminal, for example: $(BIN)/ocppgw send --help"
	@exec $(BIN)/ocppgw run $(CONFIG)

test: $(VENV)/dev.stamp
	@rm -f .coverage .coverage.*
ifdef TESTS
	$(BIN)/python -m coverage run -m pytest $(TESTS)
else
	@echo "Running all tests, several minutes: two processes, what the second one says comes last."
	@$(BIN)/python .ci/tests.py $(PROCESSES)
	@echo "All tests passed; 'make coverage' shows what they reached."
endif

lint: $(VENV)/dev.stamp
	@echo "Checking style and types."
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPED)

coverage: $(VENV)/dev.stamp
	@if ls .coverage.* >/dev/null 2>&1; then $(BIN)/coverage combine --quiet; fi
	@$(BIN)/coverage json --quiet -o - | $(BIN)/python .ci/limits.py

check: test lint coverage

bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks

bench-year: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks year

docs: $(VENV)/dev.stamp
	$(BIN)/python -m ocppgw.reference docs

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info plugins/*/build plugins/*/*.egg-info .coverage .coverage.*

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Making a virtual environment in $(VENV) with $$($(PYTHON) --version)."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: $(BIN)/python $(METADATA)
	@echo "Installing ocppgw and $(notdir $(RUN_PLUGINS)) with what they need into $(VENV)" \
	  "(about a minute the first time)."
	@$(PIP) install --editable . $(addprefix --editable ,$(RUN_PLUGINS))
	@touch $@

$(VENV)/dev.stamp: $(BIN)/python $(METADATA)
	@echo "Installing ocppgw, $(notdir $(PLUGINS)) and the tools for tests into $(VENV)" \
	  "(a minute or two the first time)."
	@$(PIP) install --editable '.[dev]' $(addprefix --editable ,$(PLUGINS))
	@touch $@ $(VENV)/run.stamp
