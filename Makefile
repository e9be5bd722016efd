# Two commands do everything on a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

python := .venv/bin/python3
pip := $(python) -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
demo ?= demo
# Compiled modules are kept, whatever the caller's environment says: tests start Python hundreds of times.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-fast soak bench lint clean wsclean htcondor slurm voms storage grid

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /\1|/' | column -t -s '|'

setup: .venv/science wsclean ## build the environment with the science tools

.venv/science: pyproject.toml constraints.txt
	@echo "Setting up .venv (about a minute, 1 GB) ..."
	@test -x $(python) || python3 -m venv .venv
	@$(pip) --editable '.[science]'
	@# Scripts that wheels carry name their interpreter by a path that may hold a space; PATH finds it as well.
	@sed -i '1s|^#!/.*/\.venv/bin/python.*|#!/usr/bin/env python3|' .venv/bin/*.py
	@ln -sf DP3.py .venv/bin/DP3
	@touch $@

.venv/dev: .venv/science
	@$(pip) --editable '.[science,htcondor,catalogue,dev]'
	@touch $@

wsclean:
	@command -v wsclean >/dev/null || .ci/install-wsclean

htcondor: .venv/dev ## unpack HTCondor for the pool that the tests start
	@PATH="$$PWD/.venv/bin:$$PATH" .ci/install-htcondor

slurm: .venv/dev ## unpack Slurm for the cluster that the tests start
	@.ci/install-slurm

voms: .venv/dev ## unpack the VOMS clients and server that the tests make proxies with
	@.ci/install-voms

storage: .venv/dev ## unpack XRootD and gfal2 for the storage that the tests start
	@.ci/install-storage

grid: .venv/dev wsclean htcondor slurm voms storage ## a pool of three sites and a storage to play with; Ctrl-C takes it down
	@PATH="$$PWD/.venv/bin:$$PATH" $(python) -m tests.grid.play

demo: setup ## make a small observation pair, reprocess it, show the image and the fluxes
	@test -e '$(demo)/data/production.yaml' || ./submit.py demo-data '$(demo)/data'
	@export LOFARGRID_DATA="$$PWD/$(demo)/tracker" && ./submit.py run '$(demo)/data/production.yaml'
	@./submit.py demo-result '$(demo)/data'
	@echo "To look around: export LOFARGRID_DATA='$$PWD/$(demo)/tracker'; ./submit.py status demo"

test: .venv/dev wsclean htcondor slurm voms storage ## all tests, with the real tools; coverage must reach 95 %
	@rm -f .coverage*
	@PATH="$$PWD/.venv/bin:$$PATH" $(python) -m pytest --cov --cov-report= -n 2 --dist loadfile -m 'not service'
	@PATH="$$PWD/.venv/bin:$$PATH" $(python) -m pytest --cov --cov-report= --cov-append -n 2 --dist loadfile -m service
	@$(python) -m coverage report --fail-under=95 --skip-covered
	@$(MAKE) --no-print-directory lint

test-fast: .venv/dev ## tests without the science tools' whole runs
	@PATH="$$PWD/.venv/bin:$$PATH" $(python) -m pytest -q -n 2 --dist loadfile -m 'not service'

soak: .venv/dev wsclean htcondor slurm voms storage ## the full counts: 10,000 seeds of simulated campaigns, 50 kills of the real demo, 30 through a pool, every way to a storage, 20 carousels of ten observations; hours
	@export PATH="$$PWD/.venv/bin:$$PATH" LOFARGRID_SEEDS=10000 LOFARGRID_PROCESSES=2 LOFARGRID_FORECASTS=40 LOFARGRID_KILLS=50 LOFARGRID_POOL_KILLS=30 LOFARGRID_COLLECTOR_GONE_S=60 LOFARGRID_MACHINE_EXAMPLES=2000 LOFARGRID_EVERY_WAY=1 LOFARGRID_CAROUSEL_SEEDS=20 && \
	$(python) -m pytest -s tests/rehearsals tests/production/test_crash.py tests/production/test_htcondor.py tests/contracts/test_storages.py tests/unit/tracker/test_machine.py

bench: setup htcondor voms storage ## speed against plain scripts; fails if a ratio misses its target
	@for one in demo runner rehearsal tracker proxy transfer htcondor peers; do $(python) benchmarks/$$one.py; done

lint: .venv/dev ## style, types and the direction of imports
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache

clean: ## remove the demo and the environment
	rm -rf .venv '$(demo)'
