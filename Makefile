# BRS. `make` alone prints this list. Everything runs from .venv, which the first target that needs it makes.
.DEFAULT_GOAL := help
.PHONY: help up test coverage fuzz lint format lock bench yardsticks openapi clean
PYTHON := .venv/bin/python

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

up: .venv/installed  ## start BRS: database, sample library, first model, API and pages (ARGS="--port 8001")
	@$(PYTHON) -m brs up $(ARGS)

test: .venv/installed  ## all tests, in parallel, on a real Postgres (ARGS="-k reviews")
	@$(PYTHON) -m pytest -n auto --dist worksteal $(ARGS)

coverage: .venv/installed  ## branch coverage of data and serving, at least 95 % (ARGS="--cov-report html")
	@$(PYTHON) -m pytest -n auto --dist worksteal tests/data tests/serving --cov --cov-fail-under 95 $(ARGS)

fuzz: .venv/installed  ## ask the API everything its document allows, for long and with a new seed each time
	@BRS_FUZZ_EXAMPLES=$${EXAMPLES:-500} BRS_FUZZ_SEED=$$$$ $(PYTHON) -m pytest tests/serving/test_fuzz.py --timeout 14400

lint: .venv/installed  ## style, types and the walls between the rooms
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports --no-cache

format: .venv/installed  ## put the code into the house's form
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

lock: .venv/installed  ## resolve the dependencies again, one lock per environment
	@deploy/local/lock

bench: .venv/installed  ## what loading, learning and answering cost on this machine
	@$(PYTHON) -m brs bench $(ARGS)

yardsticks: .venv/installed  ## our models beside stock ones, RecTools' and LensKit's (ARGS="PATH --json FILE"; ARGS=--ours)
	@case " $(ARGS) " in *" --ours "*) ;; *) deploy/yardsticks/install ;; esac
	@OPENBLAS_NUM_THREADS=1 $(PYTHON) -m deploy.yardsticks.compare $(ARGS)

openapi: .venv/installed  ## write the OpenAPI document that is kept for review
	@$(PYTHON) -m serving.openapi

clean:  ## remove .venv, .venv-yardsticks, .brs (the local database and models) and caches
	@if [ -e .brs/pg18/postmaster.pid ]; then echo "BRS is running here: stop it first (Ctrl-C in its terminal)." >&2; exit 1; fi
	rm -rf .venv .venv-yardsticks .brs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist

.venv/installed: pyproject.toml requirements.lock deploy/local/install
	@deploy/local/install
