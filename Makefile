# stallgate: every target sets up what it needs; nothing is installed outside of $(VENV).
#
#   make profile                       measure (without a GPU: replay the recording), draw the page
#   make profile PYTHON=/path/python   with the CUDA torch and triton of that interpreter
#   make profile ARGS="cumprod/blocked_scan -w flat"

BASE_PYTHON ?= python3
VENV ?= .venv
PYTHON ?=
ARGS ?=
STALLGATE := $(VENV)/bin/stallgate
BROWSERS := chromium chromium-browser google-chrome
APT := $(if $(filter 0,$(shell id -u)),,sudo -n )env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=60
HAS_GPU := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1 && echo yes)
# An engineer's own interpreter brings torch; without one, a machine with a GPU gets it, and no other machine does.
EXTRA := $(if $(PYTHON),,$(if $(HAS_GPU),[kernels]))
CHILD := $(if $(PYTHON),--python "$(PYTHON)")

.DEFAULT_GOAL := help
.PHONY: help setup profile bench report gate check browser test pytest test-long fuzz record clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 11

setup: $(VENV)/ready$(EXTRA) ## install stallgate into $(VENV)

profile: setup ## measure under ncu, or replay the recording where there is no GPU; draw the page
	$(STALLGATE) profile --report $(CHILD) $(ARGS)

bench: setup ## time variants by CUDA events beside peers, a copy and the roof
	$(STALLGATE) bench $(CHILD) $(ARGS)

report: setup ## draw the latest run again
	$(STALLGATE) report $(ARGS)

gate: setup ## judge the latest run
	$(STALLGATE) gate $(ARGS)

record: setup ## measure on a GPU and keep the run under reports/recorded/
	$(STALLGATE) profile --record --report $(CHILD) $(ARGS)

check: $(VENV)/ready-check ## ruff, mypy, import-linter
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

test: ## everything that CI runs; what needs no torch is checked while pip installs it
	@$(MAKE) --no-print-directory --jobs 3 check $(VENV)/ready-test browser
	@$(MAKE) --no-print-directory pytest

# Tests run stallgate some hundred times: without compiled modules each would be a sixth longer. A worker is one thread:
# more of them than cores wait for each other within torch.
pytest: $(VENV)/ready-test
	env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(VENV)/bin/pytest -n 3 --dist worksteal $(ARGS)

test-long: ## what tests repeat many times, for the night; `make test` runs a little of each
	@$(MAKE) --no-print-directory --jobs 3 $(VENV)/ready-test browser
	@$(MAKE) --no-print-directory pytest ARGS="-m long $(ARGS)"

fuzz: $(VENV)/ready-test ## 500 mutated ncu reports, 500 odd command lines: what is damaged is refused, and harms nothing
	$(VENV)/bin/python -m tests.extract.fuzz $(ARGS)
	$(VENV)/bin/python -m tests.cli.fuzz $(ARGS)

browser: ## Debian's chromium for the tests of the page, if there is no browser and it can be installed
	@for name in $(BROWSERS); do command -v $$name >/dev/null && exit; done; \
	install="$(APT) install -y --no-install-recommends chromium"; \
	{ command -v apt-get && { $$install || { $(APT) update && $$install; }; }; } >/dev/null 2>&1 \
	|| echo "NO BROWSER: chromium is not here and cannot be installed; the tests of the page in a browser WILL BE SKIPPED"

clean: ## remove what these targets made; runs and recordings stay
	rm -rf $(VENV) build *.egg-info harness/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	$(BASE_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "stallgate needs Python 3.11 or newer; name one with BASE_PYTHON=")'
	$(BASE_PYTHON) -m venv $(VENV)

$(VENV)/ready $(VENV)/ready[kernels]: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --editable '.$(EXTRA)'
	@touch '$@'

$(VENV)/ready-check: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --no-compile --editable '.[check]'
	@touch '$@'

# What the tests need, as pyproject.toml has it: all of it, or torch and triton alone.
NEEDS = $(VENV)/bin/python -c 'import sys, tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
	print(*(need for need in extras["test"] if need.startswith(tuple(sys.argv[1:] or [""]))))'

# Torch and triton are half of what is installed, and need nothing else to be there: they come beside the rest.
$(VENV)/ready-torch: pyproject.toml | $(VENV)/bin/python
	@$(NEEDS) torch triton | xargs $(VENV)/bin/python -m pip install --quiet --no-compile --no-deps
	@touch '$@'

# To compile all of torch takes longer than to install it; an import compiles what is used.
$(VENV)/ready-test: pyproject.toml $(VENV)/ready-torch $(VENV)/ready-check
	@$(NEEDS) | xargs $(VENV)/bin/python -m pip install --quiet --no-compile
	@unset PYTHONDONTWRITEBYTECODE; $(VENV)/bin/python -c 'import torch, triton' & \
	$(VENV)/bin/python -c 'import hypothesis, jinja2, matplotlib.backends.backend_agg, matplotlib.backends.backend_svg, \
	matplotlib.figure, pandas, playwright.sync_api, rich.progress, xdist' && wait $$!
	@touch '$@'
