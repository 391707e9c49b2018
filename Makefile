# `make bench` measures this machine, `make test` tests the program. Each sets itself up; `make help` lists the rest.

PYTHON ?= python3
VENV ?= .venv
OUT ?= results
CSV ?= $(or $(strip $(if $(wildcard results/*.csv),results) $(if $(wildcard results/cards/*.csv),results/cards)),results)
# More for `bitwatt run`, for example: make bench ARGS='--device cuda:1 --repeats 5'
ARGS ?=
# More for pip, for example: make bench PIP_ARGS='--no-index --find-links wheels'
PIP_ARGS ?=
# More for venv, for example: make bench VENV_ARGS=--system-site-packages (to use the box's own torch)
VENV_ARGS ?=

BIN := $(VENV)/bin
BITWATT := $(BIN)/bitwatt
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist loadfile

# The CUDA builds of torch and CuPy: cuda12, cuda13, none, or auto: those that fit the driver and the cards.
CUDA_BUILD ?= auto

# Where there is an NVIDIA driver, a run that found no GPU would measure the wrong thing: it stops and says why.
DRIVER := $(shell (cat /proc/driver/nvidia/version 2>/dev/null; nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null) | grep -oEm 1 '\b[0-9]{3}\.[0-9]+')
DEVICE ?= $(if $(DRIVER),cuda,auto)

# Several GPUs are measured at once, each by a process of its own.
GPUS := $(shell nvidia-smi -L 2>/dev/null | grep -c '^GPU')
BOX := $(OUT)/box-$(shell date -u +%Y%m%dT%H%M%SZ)

.DEFAULT_GOAL := help
.PHONY: help bench test test-all smoke compare report lint ruff mypy clang-format fuzz mutate microbench sass results cards wheel docs linkcheck clean setup setup-dev
.DELETE_ON_ERROR:

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

bench: setup ## measure every accelerator of this machine, or its CPU: a table, a CSV and a page
	@if [ $(GPUS) -gt 1 ]; then \
	    $(BITWATT) worker --device $(DEVICE) --out $(BOX) $(ARGS); code=$$?; \
	    $(BITWATT) merge $(BOX) -o $(BOX).csv; $(BITWATT) compare $(BOX).csv; \
	  else $(BITWATT) run --device $(DEVICE) --out $(OUT) $(ARGS); code=$$?; fi; \
	  if ls $(OUT)/*.csv >/dev/null 2>&1; then $(BITWATT) report $(OUT) -o $(OUT)/report.html || exit; fi; exit $$code

smoke: setup ## the same code on the CPU in 1 s windows, labelled as a smoke run (for CI)
	@$(BITWATT) run --device cpu --smoke --out $(OUT) $(ARGS)

test: setup-dev ## test everything that takes under ten seconds (no GPU needed)
	$(PYTEST) -m 'not slow' $(ARGS)

test-all: setup-dev ## test everything, as CI does
	$(PYTEST) $(ARGS)

fuzz: setup-dev ## fuzz each reader of files for ten minutes, guided by coverage (or SECONDS=60)
	$(BIN)/python -m tests.fuzz $(or $(SECONDS),600) $(READERS)

mutate: setup-dev ## mutation testing of a random sample: which changes of the code no test notices (or MUTANTS=40)
	$(BIN)/python -m tests.support.mutation $(or $(MUTANTS),150) $(PACKAGES)

lint: ruff clang-format mypy ## ruff, clang-format and mypy: the checks of .pre-commit-config.yaml

ruff: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clang-format: setup-dev
	$(BIN)/clang-format --dry-run --Werror $(wildcard kernels/*.[ch] kernels/*.cu tests/fakes/*/*.[ch])

mypy: setup-dev
	$(BIN)/mypy

microbench: setup-dev ## measure the speed of the parts, as ratios within one run (pytest-benchmark)
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only --benchmark-columns=min,median,stddev,rounds $(ARGS)

compare: setup ## compare the CSVs in results/ and results/cards/ (or CSV='a.csv b.csv')
	@$(BITWATT) compare $(CSV) $(ARGS)

report: setup ## make one self-contained page from the CSVs in results/ and results/cards/ (or CSV='a.csv b.csv')
	@$(BITWATT) report $(CSV) -o $(OUT)/report.html $(ARGS)

sass: setup-dev ## count the clocks per hash that the CUDA kernels' machine code needs, for each architecture
	$(BIN)/python -m bench.workloads.hashing.sass $(ARGS)

results: setup ## rewrite the table in results/README.md from the CSVs there
	$(BITWATT) results readme results

cards: setup ## measure this machine's CPU twice (6 minutes, nothing else running) and add both runs to results/cards/
	@new=$$(mktemp -d) && for run in 1 2; do \
	  $(BITWATT) run --device cpu --host-label virtual-shared --out $$new $(ARGS) || exit; sleep 60; done && \
	  $(BITWATT) results add $$new/*.csv && rm -r $$new

wheel: setup-dev ## build the sdist and the wheel in dist/, labelled for every Linux that it runs on (manylinux)
	rm -rf build/wheel && $(BIN)/python -m build --outdir build/wheel
	mkdir -p dist && mv build/wheel/*.tar.gz dist/
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/auditwheel repair -w dist build/wheel/*.whl

docs: setup-dev ## build the documentation site in docs/_build/html; every warning is an error
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

linkcheck: setup-dev ## ask every address in the documents (needs a network)
	$(BIN)/python -m sphinx -q -b linkcheck docs docs/_build/linkcheck

clean: ## remove everything built, never a result
	rm -rf $(VENV) build dist bench/_native .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks .fuzz mutants docs/_build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup: $(VENV)/.runtime

setup-dev: $(VENV)/.dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "bitwatt needs Python 3.11 or later. Name one: make PYTHON=python3.12" >&2; exit 2; }
	@command -v $${CC:-cc} >/dev/null || \
	  { echo "bitwatt needs a C compiler for its CPU kernels: apt install gcc libc6-dev" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV_ARGS) $(VENV) || \
	  { rm -rf $(VENV); echo "could not create a virtual environment: apt install python3-venv" >&2; exit 2; }

$(VENV)/.runtime: pyproject.toml constraints.txt bench/hatch_build.py bench/install.py | $(BIN)/python
	@echo "setting up $(VENV): torch and other packages, 1.5 GB (several more with CUDA); this takes some minutes" >&2
	@$(BIN)/python bench/install.py --build $(CUDA_BUILD) -- $(PIP_ARGS)
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "setting up $(VENV): packages for the tests" >&2
	@$(BIN)/python bench/install.py --build $(CUDA_BUILD) --dev -- $(PIP_ARGS)
	@touch $@
