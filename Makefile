# BRS. `make` alone prints this list. Everything runs from .venv, which the first target that needs it makes.
.DEFAULT_GOAL := help
.PHONY: help up test coverage fuzz lint images format lock bench notebooks yardsticks openapi clean
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

images: .venv/installed  ## check deploy/ (images, compose, manifests, workflows, Terraform) and start the API as its image does
	@deploy/lint/run
	@$(PYTHON) -m deploy.images.try_api

format: .venv/installed  ## put the code into the house's form
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

lock: .venv/installed  ## resolve the dependencies again, one lock per environment
	@deploy/local/lock

bench: .venv/installed  ## what loading, learning and answering cost on this machine
	@$(PYTHON) -m brs bench $(ARGS)

notebooks: .venv/installed  ## open notebooks/ in JupyterLab, for this machine only (docs/notebooks.md)
	@$(PYTHON) -c "import jupyterlab" 2>/dev/null || { echo "JupyterLab is not in .venv; install it once, or see docs/notebooks.md:" \
	    "$(PYTHON) -m uv pip install --python $(PYTHON) jupyterlab" >&2; exit 1; }
	@BRS_HOME="$$($(PYTHON) -c 'from data.settings import StateSettings; print(StateSettings().home)')" \
	    $(PYTHON) -m jupyterlab --ip 127.0.0.1 --notebook-dir notebooks $(ARGS)

yardsticks: .venv/installed  ## our models beside stock ones, RecTools' and LensKit's (ARGS="PATH --json FILE"; ARGS=--ours)
	@case " $(ARGS) " in *" --ours "*) ;; *) deploy/yardsticks/install ;; esac
	@OPENBLAS_NUM_THREADS=1 $(PYTHON) -m deploy.yardsticks.compare $(ARGS)

openapi: .venv/installed  ## write the OpenAPI document that is kept for review
	@$(PYTHON) -m serving.openapi

dictionary: .venv/installed  ## write the data dictionary of the analysts' files
	@$(PYTHON) -m data.dictionary > docs/data-dictionary.md

clean:  ## remove .venv, .venv-yardsticks, .venv-lint, .brs (the local database and models) and caches
	@if [ -e .brs/pg18/postmaster.pid ]; then echo "BRS is running here: stop it first (Ctrl-C in its terminal)." >&2; exit 1; fi
	rm -rf .venv .venv-yardsticks .venv-lint .brs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist

.venv/installed: pyproject.toml requirements.lock deploy/local/install
	@deploy/local/install
