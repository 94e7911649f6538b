# What one types here. Nothing has to be installed before; .ci/install sees to that, once.
# ARGS is handed on: make run ARGS='--config my.toml', make test ARGS='tests/unit -k router'
# (tests run in two processes; ARGS='-n 0 ...' has them in one, as a debugger wants it).
# PYTHON=/path/to/python3.12 chooses the Python that .venv is made from.

MAKEFLAGS += --no-print-directory
BIN := .venv/bin
ARGS :=

.PHONY: help run test check style types layers bench demo

help:
	@echo 'make run      start the server; Ctrl-C stops it'
	@echo 'make test     run the tests'
	@echo 'make check    what CI runs: style types layers test'
	@echo 'make style    formatting, lint, spelling'
	@echo 'make types    mypy --strict'
	@echo 'make layers   who may import whom'
	@echo 'make bench    measure'
	@echo 'make demo     real conversations through both protocols, and a count of what was lost'

run: .venv/.installed-run
	@exec $(BIN)/python -m server $(ARGS)

test: .venv/.installed-dev
	@exec $(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

check: style types layers
	@$(MAKE) test

style: .venv/.installed-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/codespell

types: .venv/.installed-dev
	@$(BIN)/mypy

layers: .venv/.installed-dev
	@$(BIN)/lint-imports --no-cache

bench: .venv/.installed-bench
	@exec $(BIN)/python -m tests.bench $(ARGS)

demo: .venv/.installed-dev
	@exec $(BIN)/python -m tests.demo $(ARGS)

.venv/.installed-run: pyproject.toml
	@PYTHON='$(PYTHON)' .ci/install embedded

.venv/.installed-dev: pyproject.toml tests/clients/package-lock.json
	@PYTHON='$(PYTHON)' .ci/install embedded,dev

.venv/.installed-bench: pyproject.toml
	@PYTHON='$(PYTHON)' .ci/install embedded,dev,bench
