# `make check` runs what CI runs. PYTHON is the interpreter of an environment with `pip install -e ".[dev]"`.
PYTHON ?= python

.PHONY: check format lint types test coverage versions bench

check: lint types test

format:
	$(PYTHON) -m ruff format opscan tests benchmarks noxfile.py
	$(PYTHON) -m ruff check --fix opscan tests benchmarks noxfile.py

lint:
	$(PYTHON) -m ruff format --check opscan tests benchmarks noxfile.py
	$(PYTHON) -m ruff check opscan tests benchmarks noxfile.py

types:
	$(PYTHON) -m mypy

test:
	$(PYTHON) -m pytest -q

coverage:
	$(PYTHON) -m pytest -q --cov --cov-report=term

versions:
	$(PYTHON) -m nox

bench:
	$(PYTHON) benchmarks/run.py --write
