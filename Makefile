# make run    everything on this machine; prints a link when it is ready
# make check  lint, units, the ledger on SQLite, one walk through a real hub: at most 3 minutes
# make check-python PYTHON=python3.13  the units with another Python, in an environment of its own
# make test   the whole test suite: about 20 minutes on 2 cores
# make bench  a table: ours beside JupyterHub's own local spawner; BENCH="-n 5 --lean-stock"
# make bench-cluster, bench-crowd, bench-warm  beside KubeSpawner; a crowd at once; warm targets over whole days
# make bench-ledger  the database's frequent queries with a million past instances
# make bench-idle    what looks at the use of 2,000 instances cost; 10,000 simulated sessions
# make bench-scale   one hub with many accounts, running servers, a queue and open desks; BENCH=--full: docs/scale.md
# make bench-logins  10,000 bad logins in a minute beside a user's requests and starts
# make audit  asks PyPI and npm for known vulnerabilities of the locked packages: docs/images.md
# make images  container images, by Docker or buildah; IMAGES="hub light", REGISTRY, TAG, FRESH=1: docs/images.md
# make cluster, make cluster-down  a Kubernetes to test on: tests/cluster/README.md
# Variables: PORT (8000), STATE (.freepool), PYTHON (a fast one), UNSAFE=1 (no sandbox), HEAVY=1 (adds the PyTorch image),
#   TORCH_INDEX (with HEAVY: a package index with PyTorch for processors only, a tenth of the download),
#   DEMO_CLOUD=1 (paid instances in a stand-in cloud, no real money)

ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell hub_config/setup python)
endif
PORT ?= 8000
STATE ?= .freepool
VENV := .venv
BIN := $(VENV)/bin
LOCAL := .images
UV := .uv
# TORCH_INDEX names where the smaller build of PyTorch is, for processors only; PyPI's has NVIDIA's libraries with it.
TORCH_LOCK := images/torch/$(if $(TORCH_INDEX),processor,requirements).lock
TOOLS_LOCK := images/tools/$(if $(TORCH_INDEX),processor,requirements).lock
IMAGES ?= hub postgres light cpu
ENVIRONMENTS := $(VENV)/.ready $(LOCAL)/light/.ready
SETUP := hub_config/setup hub_config/packages.py hub_config/prove.py images/left-out.txt
JUPYTERLAB := images/light/overrides.json images/light/page_config.json
TEST_CACHE := $(or $(FREEPOOL_TEST_CACHE),$(if $(filter 0,$(shell id -u)),/var/cache,$(or $(XDG_CACHE_HOME),$(HOME)/.cache))/freepool-tests)
export PORT STATE PYTHON TORCH_INDEX
# Hundreds of processes run what is installed here; without bytecode each of them would compile it again.
unexport PYTHONDONTWRITEBYTECODE
# UNSAFE=0 is as good as no UNSAFE.
on = $(filter-out 0 no off false,$(1))

# A misspelt variable on the command line would go unnoticed.
VARIABLES := PORT STATE PYTHON UNSAFE HEAVY TORCH_INDEX DEMO_CLOUD BENCH IMAGES FRESH REGISTRY TAG ENGINE BASE SHELL CI VENV LOCAL UV
named = $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
unknown := $(if $(filter 0,$(MAKELEVEL)),$(filter-out $(VARIABLES) FREEPOOL_% UV_% PIP_% NPM_% npm_% %_PROXY %_proxy SSL_%,$(named)))
$(if $(unknown),$(info freepool: there is no variable $(unknown): `make help` names those that there are))

.PHONY: run setup heavy test suite prepare collect lint bench bench-cluster bench-crowd bench-ledger bench-warm bench-idle bench-logins bench-scale images audit cluster cluster-down check
.PHONY: check-python clean help
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile

run: setup $(if $(call on,$(HEAVY)),heavy) $(if $(call on,$(DEMO_CLOUD)),$(VENV)/.paid)
	@exec $(BIN)/freepool up $(if $(call on,$(UNSAFE)),--unsafe-no-sandbox) $(if $(call on,$(DEMO_CLOUD)),--demo-cloud)

# The two are made side by side: each is the work of one processor.
setup:
	@trap 'echo; echo "freepool: stopped. The same command goes on where it was."' INT; \
	$(MAKE) -sq $(ENVIRONMENTS) 2>/dev/null || { hub_config/setup check && $(MAKE) -s -j2 $(ENVIRONMENTS); }

$(UV)/.ready: hub_config/setup
	@hub_config/setup uv $(UV)

$(VENV)/.ready: requirements.lock pyproject.toml hub_config/proxy/package-lock.json hub_config/imports/hub $(SETUP) | $(UV)/.ready
	@hub_config/setup hub $(VENV) requirements.lock

$(LOCAL)/light/.ready: images/light/requirements.lock images/light/imports $(JUPYTERLAB) $(SETUP) | $(UV)/.ready
	@$(PYTHON) hub_config/set_aside.py $(LOCAL)/light
	@hub_config/setup image $(LOCAL)/light images/light/requirements.lock

heavy: setup
	@$(MAKE) -s $(LOCAL)/torch/.ready && $(MAKE) -s $(LOCAL)/torch/tools/.ready

$(LOCAL)/torch/.ready: $(TORCH_LOCK) images/torch/imports $(JUPYTERLAB) $(SETUP) | $(UV)/.ready
	@$(PYTHON) hub_config/set_aside.py $(LOCAL)/torch
	@hub_config/setup image $(LOCAL)/torch $(TORCH_LOCK)

# The tool chain's environment lies in the image's: where notebooks run in that, both are made anew.
$(LOCAL)/torch/tools/.ready: $(TOOLS_LOCK) images/tools/imports images/tools/offer $(SETUP) | $(UV)/.ready
	@$(PYTHON) hub_config/set_aside.py $(LOCAL)/torch
	@test -e $(LOCAL)/torch/.ready || hub_config/setup image $(LOCAL)/torch $(TORCH_LOCK)
	@hub_config/setup tools $(LOCAL)/torch/tools $(TOOLS_LOCK)

# What `make bench` compares with: what a plain `pip install jupyterhub jupyterlab` brings, in the same versions.
$(LOCAL)/stock/.ready: images/light/requirements.lock $(SETUP) | $(UV)/.ready
	@PYTHON=$(LOCAL)/light/bin/python hub_config/setup image $(LOCAL)/stock images/light/requirements.lock rfc3987-syntax==1.1.0 lark==1.3.1

$(VENV)/.paid: requirements-paid.lock hub_config/imports/paid $(VENV)/.ready
	@hub_config/setup paid $(VENV) requirements-paid.lock

$(VENV)/.dev: requirements-dev.lock hub_config/imports/dev tests/javascript/package-lock.json tests/login/provider/package-lock.json $(VENV)/.ready
	@hub_config/setup dev $(VENV) requirements-dev.lock

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.javascript.check
	@if command -v shellcheck >/dev/null; then git grep -lE '^#(!/(usr/bin/env bash|bin/sh)$$| shellcheck shell)' | xargs shellcheck -x; \
	else echo "lint: shellcheck is not installed, so shell scripts are not checked"; fi

test:
	@tests/setup
	@hub_config/setup check
	@tests/environment light
	@$(MAKE) --no-print-directory setup ENVIRONMENTS="$(ENVIRONMENTS) $(VENV)/.dev"
	@tests/environment torch
	@PYTHON=$(BIN)/python tests/cluster/lease $(MAKE) --no-print-directory suite

# Under a lease, so that a run of another checkout has another cluster. It is made ready beside the rest: it waits for disks.
# `collect` writes the tests' bytecode once; else each of pytest's processes would make all of it.
suite: export MYPY_CACHE_DIR = $(TEST_CACHE)/mypy
suite:
	@$(MAKE) --no-print-directory --jobs 3 lint prepare collect
	$(BIN)/python -m pytest --numprocesses 4 --dist loadscope --durations 20

collect:
	@mkdir -p build
	@$(BIN)/python -m pytest --collect-only -q >build/collected 2>&1 || { cat build/collected; exit 1; }

prepare:
	@PYTHON=$(BIN)/python tests/cluster/prepare

bench: setup $(VENV)/.dev $(LOCAL)/stock/.ready
	@$(BIN)/python -m tests.bench.local $(BENCH)

bench-cluster: setup $(VENV)/.dev cluster
	@$(BIN)/python -m tests.bench.cluster $(BENCH)

bench-crowd: setup $(VENV)/.dev cluster
	@$(BIN)/python -m tests.bench.crowd $(BENCH)

bench-ledger: setup $(VENV)/.dev
	@$(BIN)/python -m tests.bench.ledger $(BENCH)

bench-warm: setup $(VENV)/.dev
	@$(BIN)/python -m tests.bench.warm $(BENCH)

bench-idle: setup $(VENV)/.dev
	@$(BIN)/python -m tests.bench.idle $(BENCH)

bench-logins: setup $(VENV)/.dev
	@$(BIN)/python -m tests.bench.logins $(BENCH)

bench-scale: setup $(VENV)/.dev
	@$(BIN)/python -m tests.bench.scale $(BENCH)

audit: $(VENV)/.dev
	@$(BIN)/python -m images.audit

images: $(VENV)/.dev
	@PYTHON=$(BIN)/python images/build $(IMAGES)

cluster: $(VENV)/.dev
	@PYTHON=$(BIN)/python tests/cluster/lease tests/cluster/prepare

cluster-down:
	@tests/cluster/down

# The inner loop. No browser, no cluster, and of the databases SQLite alone.
check: setup $(VENV)/.dev
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -q -m check --numprocesses 2 --dist loadscope

# The oldest Python is what the images have; this tries a newer one.
check-python:
	@$(MAKE) --no-print-directory VENV=$(VENV)-$(notdir $(PYTHON)) $(VENV)-$(notdir $(PYTHON))/.dev
	$(VENV)-$(notdir $(PYTHON))/bin/python -m pytest -q tests/unit --numprocesses 2 --dist loadscope

clean:
	rm -rf $(VENV) $(VENV)-* $(LOCAL) $(UV)
