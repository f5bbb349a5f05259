# What can be done here.  Each target makes the virtual environment first when there is none.
#   make demo          compare BPR and LightGCN, plain and with a softmax objective, and floors, on ml-100k (minutes)
#   make test          the quick tests
#   make conformance   every check on every backbone (writes docs/conformance.md), long runs on ml-100k
#   make lint          ruff, ruff format and mypy
#   make docs          the documentation site, into site/
#   make wheel         build dist/*.tar.gz and, from that, dist/*.whl
#   make clean         remove what the targets above wrote (the environment stays)
# Variables: PYTHON (which interpreter makes the environment), VENV (where it is), RUNS (where the demo
# writes), PIP_FLAGS (for example --index-url=...), PYTEST_FLAGS (for example -x), TORCH_INDEX (where torch's
# CPU build is; empty for the build that pip finds by itself, as where there is an NVIDIA GPU).

PYTHON       ?= python3
VENV         ?= .venv
RUNS         ?= demo-runs
PIP_FLAGS    ?=
PYTEST_FLAGS ?=

# On Linux the torch that pip finds by itself is the CUDA build, of gigabytes.
TORCH_INDEX  ?= $(if $(wildcard /dev/nvidia0),,https://download.pytorch.org/whl/cpu)

BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip install -c constraints.txt $(PIP_FLAGS)
SLIM    := $(VENV)/.burnish-installed
FULL    := $(VENV)/.burnish-installed-dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test conformance lint docs wheel clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -10

# torch goes first, at the version in constraints.txt, so that nothing else chooses it; what it needs follows with burnish.
$(SLIM): setup.cfg pyproject.toml constraints.txt
	@echo "Installing burnish and what it needs into $(VENV): about 370 MB to download with torch's CPU build; the CUDA"
	@echo "build, where torch comes from elsewhere, adds about 3 GB.  Nothing is downloaded that pip has in its cache."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --no-deps torch $(addprefix --extra-index-url=,$(TORCH_INDEX))
	$(PIP) -e .
	$(BIN)/burnish setup -c constraints.txt $(PIP_FLAGS)
	touch $@

$(FULL): $(SLIM)
	@echo "Installing what tests and checks need besides (mypy, ruff, transformers, shap ...): about 310 MB to download."
	$(PIP) -e '.[dev]'
	touch $@

demo: $(SLIM)
	$(BIN)/burnish bench demo --runs $(RUNS)
	$(BIN)/burnish report $(RUNS) --output $(RUNS)/report.md --plot $(RUNS)/report.svg

test: $(FULL)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(PYTEST_FLAGS)

conformance: $(FULL)
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m burnish.enhancers.conformance.matrix --output docs/conformance.md
	$(BIN)/python -m pytest -m conformance $(PYTEST_FLAGS)

# Folders, not ".": newer ruffs would also format the Python in docs/*.md, older ones would not.
lint: $(FULL)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check backbones benchmarks burnish docs/site enhancers examples tests
	.ci/typecheck $(BIN)/python

docs: $(FULL)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "site/index.html; with search: $(BIN)/python -m http.server --directory site"

wheel: $(FULL)
	rm -rf dist
	$(BIN)/python -m build

clean:
	rm -rf build dist site *.egg-info $(RUNS) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +
