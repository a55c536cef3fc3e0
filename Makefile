# `make demo` and `make test` are all the set-up that a fresh machine needs.

PYTHON ?= python3
DEMO   ?= .demo
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test coverage check format tables clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## Run the main job on embedded real data and write a report
	$(BIN)/oddlens demo --out $(DEMO)

test: $(STAMP) ## Run every test
	$(BIN)/python -m pytest -n auto --dist loadfile

coverage: $(STAMP) ## Run every test and tell which lines none ran, which takes longer
	$(BIN)/python -m pytest -n auto --dist loadfile --cov --cov-report=term

check: $(STAMP) ## Run ruff, mypy and the layering test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layering.py

format: $(STAMP) ## Put the code into the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tables: $(STAMP) ## Write the tables of the documents anew from results/
	$(BIN)/python -m benchmarks.tables

clean: ## Remove the environment, the caches and the demo
	rm -rf $(VENV) $(DEMO) .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist

# The environment is made anew only when what it is made of changes.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: oddlens needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	touch $@
