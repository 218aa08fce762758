# make demo · make test · make bench: each creates .venv itself.
PYTHON ?= python3
N ?= 36
BIN := .venv/bin
ENV := . $(BIN)/activate &&
STAMP := .venv/.installed

.PHONY: demo test bench docs lint nightly clean

demo: $(STAMP)  ## release, collect, grade a simulated class, show the gradebook and report.html
	$(ENV) kit demo --students $(N)

test: $(STAMP)  ## the whole test suite: lint, types, drift, suite verification, unit tests, notebooks
	$(ENV) ruff format --check .
	$(ENV) ruff check .
	$(ENV) mypy
	$(ENV) kit build --check
	$(ENV) kit suite verify hw2_autodiff --seeds 2
	$(ENV) pytest -n 2 --dist loadfile

nightly: $(STAMP)  ## suite verification with 50 seeds
	$(ENV) kit suite verify hw2_autodiff --seeds 50

bench: $(STAMP)  ## every speed claim as an interleaved ratio, one thread
	$(ENV) python -m benchmarks

lint: $(STAMP)
	$(ENV) ruff format . && ruff check --fix . && mypy

clean:
	rm -rf .demo report.html .mypy_cache .pytest_cache .ruff_cache .hypothesis

# torch is pinned in the command itself: an unpinned torch would pull gigabytes of CUDA packages.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q torch==2.13.0 -e '.[notebook,course,dev]' -c constraints.txt
	touch $(STAMP)
