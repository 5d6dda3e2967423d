PYTHON  ?= python3
PROFILE ?= laptop
BIN = .venv/bin
# a process a core, each with whole files: what they share is made once
PARALLEL = -n auto --maxprocesses 4 --dist loadfile
# processors with fewer instructions than this one, for oneDNN's kernels and for PyTorch's own
AVX2 = ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2
SSE41 = ONEDNN_MAX_CPU_ISA=SSE41 ATEN_CPU_CAPABILITY=default

.DEFAULT_GOAL := help
.PHONY: help setup own book pdf quick test test-book avx2 soak oldest newest bench lint notebooks lock clean

help: ## show this list
	@grep -E '^[a-z0-9 -]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.installed ## make .venv with the locked versions and the package itself

.venv/.installed: requirements.lock pyproject.toml | own
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("kdlib needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -r requirements.lock
	$(BIN)/pip install -q --no-deps -e .
	@touch $@

own: # an environment that came along with a copied or moved checkout would run the code of where it was made
	@[ ! -e .venv/pyvenv.cfg ] || grep -qF " $(CURDIR)/.venv" .venv/pyvenv.cfg || \
	{ echo "the environment in .venv was made for another folder: remove it (rm -rf .venv), then make again" >&2; exit 1; }

book: setup ## execute every chapter and render the book (PROFILE=laptop|smoke, WORKERS=one per core)
	$(BIN)/kdlib book --profile $(PROFILE) $(if $(WORKERS),--workers $(WORKERS))

pdf: setup ## the book as a PDF, from the committed notebooks, with Chromium (two minutes, nothing is trained)
	$(BIN)/kdlib pdf book/_build/book.pdf

quick: lint ## style, and the tests of specs, catalog, nets, losses, metrics, statistics and figures (seconds)
	$(BIN)/pytest -q $(patsubst %,tests/test_%.py,augment catalog figures landscape losses metrics models packaging spec stats)

test: lint ## style, unit tests, nbval over the notebooks, one whole execution at smoke (ten minutes on two cores)
	$(BIN)/pytest -q $(PARALLEL)
	KDLIB_FROM_RECORDS=1 $(BIN)/pytest -q $(PARALLEL) -p no:cacheprovider --nbval notebooks

test-book: setup ## every page in Chromium, in two widths and themes, served and as files (minutes)
	$(BIN)/pytest -q -m 'book or slow' tests/test_pages.py

avx2: setup ## the tests that are not slow, as a processor without AVX-512 runs them
	$(AVX2) $(BIN)/pytest -q $(PARALLEL) -p no:cacheprovider -m 'not slow and not soak and not book'

soak: setup ## the fault tests in full: many kills, every record compared; all tests with fewer instructions (minutes)
	$(BIN)/pytest -q -s -m soak
	$(AVX2) $(BIN)/pytest -q $(PARALLEL) -p no:cacheprovider
	$(SSE41) $(BIN)/pytest -q $(PARALLEL) -p no:cacheprovider

oldest newest: ## tests of what others import, at an end of pyproject.toml's ranges, in .kdlib/ (5 minutes, 6 GB)
	bash .ci/ends $@

bench: setup ## measure the training loop, and what many runs cost around it (half an hour, alone on the machine)
	$(BIN)/python benchmarks/bench.py
	$(BIN)/python benchmarks/grid.py
	$(BIN)/python benchmarks/scaling.py

lint: setup ## check the style of the code, and its types (20 s once, then a second)
	$(BIN)/ruff check .
	$(BIN)/mypy

notebooks: setup ## write the chapters' outputs anew from the committed records (after changing text, code or records)
	$(BIN)/kdlib notebooks
	$(BIN)/python -m kdlib.experiments.figure_map
	$(BIN)/python -m kdlib.runs.holds

lock: ## refresh requirements.lock from pyproject.toml, in a clean environment
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e '.[book,fabric,ray,test]'
	$(BIN)/pip freeze --exclude-editable | sed -E '/^(nvidia-|cuda-|triton)/ s/$$/ ; sys_platform == "linux" and platform_machine == "x86_64"/' > requirements.lock
	@touch .venv/.installed

clean: ## remove the environment, the local run store and what was built (never results/)
	rm -rf .venv .kdlib _build book/_build book/executed .pytest_cache .ruff_cache .mypy_cache *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
