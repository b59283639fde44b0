# Everything starts here: `make demo` and `make test` need python3 (3.11 or newer), make and git, nothing else.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Compiled files make every later start faster: neither skip writing them nor look for them elsewhere.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPYCACHEPREFIX
# A virtual environment or a path of the caller must not leak into ours.
unexport VIRTUAL_ENV
unexport PYTHONPATH
unexport PYTHONHOME

# The first of these that runs and is new enough; PYTHON=/some/python chooses another.
PYTHONS := python3 python3.13 python3.12 python3.11
RECENT := import sys; sys.exit(sys.version_info < (3, 11))

# Prefect sends usage statistics otherwise.
export DO_NOT_TRACK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo ui test nightly check format manual lock deploy clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make .venv with the populace command in it; instant the second time

$(STAMP): requirements.txt pyproject.toml
	@set -e; \
	python=""; \
	for candidate in $(or $(PYTHON),$(PYTHONS)); do \
	    if "$$candidate" -c '$(RECENT)' >/dev/null 2>&1; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "Populace needs Python 3.11 or newer; found none as: $(or $(PYTHON),$(PYTHONS))." >&2; \
	    echo "Install one, or name it: make setup PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	fi; \
	if ! $(BIN)/python -c '$(RECENT)' >/dev/null 2>&1 || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	    echo "Making $(VENV) with $$("$$python" --version)"; \
	    "$$python" -m venv --clear $(VENV) || { \
	        rm -rf $(VENV); \
	        echo "$$python cannot make a virtual environment." >&2; \
	        echo "On Debian and Ubuntu its package python3-venv is missing: apt-get install python3-venv" >&2; \
	        exit 1; \
	    }; \
	fi
	@echo "Installing the locked requirements (about 170 packages, a minute or two)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile --no-deps --require-hashes \
	    --only-binary :all: -r requirements.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib || true  # some packages carry templates that are no Python
	@touch $@

demo: setup  ## run the main job on two months of shop events; STORE=s3 does it over HTTP
	@$(BIN)/populace demo $(if $(STORE),--store $(STORE))

ui: setup  ## open the Prefect UI on the demo's runs
	@$(BIN)/populace ui

test: setup check  ## lint, types and all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

nightly: setup  ## an hour of random identities and one of random queries against what is obvious, others each day
	POPULACE_STREAMS=2400000 POPULACE_SEED=$$(date +%Y%m%d)00 $(BIN)/python -m pytest -q -x tests/generative/test_identity.py
	POPULACE_EXAMPLES=4000 $(BIN)/python -m pytest -q -x tests/generative/test_queries.py

check: setup  ## what every commit must pass: lint, format, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py

format: setup  ## write the code as `check` wants it
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

manual: setup  ## write docs/language.md out of the spec tests, and docs/destinations/ out of adapters and fixtures
	@$(BIN)/python -m tests.spec.manual
	@$(BIN)/python -m tests.contract.pages

lock: setup  ## resolve requirements.txt anew from pyproject.toml
	$(BIN)/python -m pip install -qq --disable-pip-version-check "uv>=0.9"
	@echo "# All packages with their hashes, for Python 3.11 and newer. Written by 'make lock'." > requirements.new
	$(BIN)/uv pip compile --quiet --upgrade --no-header --generate-hashes --no-emit-index-url --universal \
	    --python-version 3.11 --extra dev pyproject.toml >> requirements.new
	@mv requirements.new requirements.txt

deploy: setup  ## register the deployments of prefect.yaml with the server at PREFECT_API_URL
	@$(BIN)/prefect work-pool inspect populace >/dev/null 2>&1 || $(BIN)/prefect work-pool create populace --type process
	@POPULACE_HOME="$(CURDIR)" $(BIN)/prefect --no-prompt deploy --all

clean:  ## remove what can be made again: environment, caches, the demo's data
	rm -rf $(VENV) demo-data .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage htmlcov build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
