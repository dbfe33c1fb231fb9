# `make explore` and `make test` need python3 (3.11 or newer, with venv) and make; everything else is fetched into .venv.
PYTHON ?= python3
BIN := .venv/bin
RESULTS ?= results

.DEFAULT_GOAL := help
.PHONY: help explore test test-lowest lint bench build clean

help:
	@echo "make explore      compare SCNN, DCNN and DCNN-opt over density; CSV and plots in $(RESULTS)/"
	@echo "make test         the whole test suite"
	@echo "make lint         ruff, mypy --strict and the import contracts"
	@echo "make bench        CPU seconds and ratios of the benchmarks"
	@echo "make test-lowest  the test suite on the oldest dependencies pyproject.toml allows"
	@echo "make build        wheel and sdist in dist/"
	@echo "make clean        remove what the other targets made, .venv included"

explore: .venv/.installed
	$(BIN)/timeloop-py explore -o $(RESULTS)

test: .venv/.installed-dev
	$(BIN)/python -m pytest -n auto

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict timeloop_py
	$(BIN)/lint-imports

bench: .venv/.installed-dev
	$(BIN)/python bench/run.py

# `build` makes the wheel out of the sdist, so a file missing from either shows up.
build: .venv/.installed-dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist

test-lowest:
	rm -rf .venv-lowest
	$(PYTHON) -m venv .venv-lowest
	$(PYTHON) .ci/lowest.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install -q -c .venv-lowest/constraints.txt -e '.[dev,tensors]'
	.venv-lowest/bin/python -m pytest -n auto

clean:
	rm -rf .venv .venv-lowest build dist $(RESULTS) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -q -e .
	@touch $@

.venv/.installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -q -e '.[dev,tensors]'
	@touch .venv/.installed $@
