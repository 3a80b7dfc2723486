# `make demo` and `make test` set up .venv first; once that is done they need no network.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo test test-all test-machines tests check fuzz soak interop browser bench bench-peers imported clean

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
DATA := examples/data/japanese_vowels.npz

demo: $(VENV)/.installed
	@mkdir -p build
	$(BIN)/rnnspec train examples/japanese_vowels.rnn --data $(DATA) -o build/vowels.rnnc --seed 0
	$(BIN)/rnnspec predict build/vowels.rnnc --data $(DATA) --show 9

# What `check` finds is told while the tests run: pyright keeps one core busy for most of a minute.
test: $(VENV)/.installed-test
	$(MAKE) --no-print-directory --jobs=2 check tests

# All cases of the tests of which `make test` takes a part, with all code optimised as for a user.
test-all: export RNNSPEC_TEST_ALL := 1
test-all: test

tests: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

MACHINE_TOOLS := gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-user \
    gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm wine64 lld gcc-mingw-w64-x86-64
# Libraries for other machines, compiled and emulated by Debian's packages, which this installs: it takes root.
test-machines: $(VENV)/.installed-test
	apt-get install --quiet --yes --no-install-recommends $(MACHINE_TOOLS)
	RNNSPEC_MACHINES=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal tests/unit/deploy/test_machines.py

check: $(VENV)/.installed-test
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check
	$(BIN)/pyright --pythonpath $(BIN)/python

# Draws MODELS whole models, and as many damaged specs, hostile ones among them; one that fails, or takes more than its time or memory,
# is printed as small as it can be made. SEED=... repeats a run.
MODELS := 2000
fuzz: $(VENV)/.installed-test
	RNNSPEC_TEST_ALL=1 FUZZ_MODELS=$(MODELS) $(BIN)/python -m pytest -q --hypothesis-profile fuzz $(if $(SEED),--hypothesis-seed $(SEED)) \
	    tests/property/test_drawn_models.py tests/property/test_hostile_models.py tests/property/test_drawn_losses.py

# Interrupts, kills, forks and other threads at any moment, SOAK times as often as the tests have them; 200 killed trainings at most.
SOAK := 63
soak: $(VENV)/.installed-test
	SOAK=$(SOAK) $(BIN)/python -m pytest -q -s tests/soak
	SOAK_RANKS=10 $(BIN)/python -m pytest -q tests/e2e/test_distributed.py -k killed

# Tests with other frameworks, in build/interop; those whose framework isn't there are named. FRAMEWORKS="torch==2.13.0" for one alone.
FRAMEWORKS := jax keras torch onnxruntime
interop: | $(BIN)/python
	test -x build/interop/bin/python || $(BIN)/python -m venv build/interop
	build/interop/bin/python -m pip --disable-pip-version-check --no-input --quiet install --editable '.[test]' $(FRAMEWORKS)
	RNNSPEC_INTEROP=1 build/interop/bin/python -m pytest -q tests/interop tests/with_torch/*.py

# Pages in Chromium, which Debian has and no package index; root gets it installed.
browser: $(VENV)/.installed-test
	@command -v chromium chromium-browser google-chrome >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq \
	    && apt-get install -qq --no-install-recommends chromium; } || { echo "make browser needs Chromium: apt-get install chromium" >&2; exit 1; }
	RNNSPEC_BROWSER=1 $(BIN)/python -m pytest -q tests/browser

# This project and the peers that are installed, in turns. WORK="W3a W4a" for a part; OPTIONS=--processor if others use the machine.
# WORK=distributed: training on one process and on two.
bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks$(if $(filter distributed,$(WORK)),.distributed,) $(OPTIONS) $(filter-out distributed,$(WORK))

# An environment for each peer, in build/bench; PEERS=torch==2.13.0 for one of them, in a version.
PEERS := torch jax onnxruntime keras
bench-peers: $(VENV)/.installed
	$(BIN)/python -m benchmarks $(PEERS:%=--install %)

# Public models, imported from their packages and compared with numpy; it downloads 40 MB.
imported: $(VENV)/.installed-test
	$(PIP) download --no-deps --dest build/imported textgenrnn==2.0.0 ethnicolr==0.9.8
	$(BIN)/python examples/imported/models.py build/imported
	$(BIN)/python examples/imported/onnx_streams.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The first Python on the path that is new enough and can make virtual environments; PYTHON=... overrides.
$(BIN)/python:
	@python="$(PYTHON)"; \
	for candidate in $${python:-python3 python3.14 python3.13 python3.12 python3.11 python}; do \
	    if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "Setting up $(VENV) with $$("$$candidate" --version)"; exec "$$candidate" -m venv $(VENV); \
	    fi; \
	done; \
	echo "rnnspec needs Python 3.11 or newer, with venv; tried: $${python:-python3, python3.11 to python3.14, python}" >&2; exit 1

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(PIP) install --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[test]'
	@touch $(VENV)/.installed $@
