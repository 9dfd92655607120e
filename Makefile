# make run    everything on this machine; prints a link when it is ready
# make test   the whole test suite
# make bench  a table: ours beside JupyterHub's own local spawner
# Variables: PORT (8000), STATE (.freepool), PYTHON (python3), UNSAFE=1 (no sandbox), HEAVY=1 (adds the PyTorch image)

PYTHON ?= python3
PORT ?= 8000
STATE ?= .freepool
VENV := .venv
BIN := $(VENV)/bin
IMAGES := .images
export PORT STATE

.PHONY: run setup heavy test lint bench check clean help
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile

run: setup $(if $(HEAVY),heavy)
	@exec $(BIN)/freepool up $(if $(UNSAFE),--unsafe-no-sandbox)

setup: $(VENV)/.ready $(IMAGES)/cpu/.ready

$(VENV)/.ready: requirements.lock pyproject.toml hub_config/proxy/package-lock.json hub_config/setup
	@PYTHON="$(PYTHON)" hub_config/setup hub $(VENV)
	@touch $@

$(IMAGES)/cpu/.ready: images/cpu/requirements.lock images/cpu/overrides.json hub_config/setup
	@PYTHON="$(PYTHON)" hub_config/setup image $(IMAGES)/cpu images/cpu/requirements.lock
	@touch $@

heavy: $(IMAGES)/torch/.ready

$(IMAGES)/torch/.ready: images/torch/requirements.lock hub_config/setup
	@PYTHON="$(PYTHON)" hub_config/setup image $(IMAGES)/torch images/torch/requirements.lock
	@touch $@

$(VENV)/.dev: $(VENV)/.ready requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --no-deps -r requirements-dev.lock
	@touch $@

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup $(VENV)/.dev
	@tests/setup
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest

bench: setup $(VENV)/.dev
	$(BIN)/python -m tests.bench.local

check: $(VENV)/.ready
	$(BIN)/freepool check

clean:
	rm -rf $(VENV) $(IMAGES)
