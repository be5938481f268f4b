# `make check` runs what CI runs. PYTHON is the interpreter of an environment with `pip install -e ".[dev]"`.
PYTHON ?= python

.PHONY: check format lint types test bench

check: lint types test

format:
	$(PYTHON) -m ruff format opscan tests benchmarks
	$(PYTHON) -m ruff check --fix opscan tests benchmarks

lint:
	$(PYTHON) -m ruff format --check opscan tests benchmarks
	$(PYTHON) -m ruff check opscan tests benchmarks

types:
	$(PYTHON) -m mypy

test:
	$(PYTHON) -m pytest -q

bench:
	$(PYTHON) benchmarks/run.py --write
