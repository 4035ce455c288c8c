# Two commands matter: `make study` and `make test`. Both make the environment first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
GRID ?= grid.yaml
STUDY ?= $(shell sed -n 's/^study: *\([^ #]*\).*/\1/p' '$(GRID)')

.PHONY: env study findings test test-kernels accept lint bench publish report dry-run docs clean

env: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# The report is written even when some trials failed (exit code 1).
study: env
	@$(BIN)/python -m sweeps.run "$(GRID)"; code=$$?; \
	if [ $$code -le 1 ]; then $(BIN)/python -m analysis.report results/$(STUDY) || exit $$?; fi; \
	exit $$code

# The study of S1 on virtual patients, from nothing to its page of findings.
findings: env
	$(MAKE) study publish GRID=sweeps/grids/ecg-scaling-virtual.yaml

# Two processes share the cores: one thread each, as in .ci/run.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

test: env
	$(PYTEST)

# What is computed must hold whatever kernels BLAS and torch choose: here those of a Haswell.
KERNELS ?= OPENBLAS_CORETYPE=Haswell ATEN_CPU_CAPABILITY=avx2
NUMERICAL ?= tests/analysis tests/scaling/models tests/scaling/objectives tests/test_golden.py
# Pages, commands and errors for bad input read the same numbers.
WORDS = report findings figures notebook fit_command runs bad_input compare records published readme

test-kernels: env
	$(KERNELS) $(PYTEST) -m "not accept and not slow" $(NUMERICAL) \
		$(foreach word,$(WORDS),--ignore-glob='tests/analysis/*test_$(word)*')

# Long measurements, run before an issue is called done and quoted in its note: -rP prints them.
accept: env
	$(PYTEST) -m accept -rP

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A grid of real recordings is left out, by name, where they are not on this machine.
dry-run: env
	@for grid in grid.yaml sweeps/grids/*.yaml; do \
		root=$$(sed -n 's/^corpus:.*root: *\([^,} ]*\).*/\1/p' $$grid); \
		if [ -n "$$root" ] && [ ! -d "$$root" ]; then echo "== $$grid: left out, no $$root"; continue; fi; \
		echo "== $$grid"; $(BIN)/python -m sweeps.run $$grid --dry-run || exit 1; done

bench: env
	@code=0; for bench in benchmarks/bench_*.py; do echo "== $$bench"; $(BIN)/python $$bench || code=1; \
	done; exit $$code

report: env
	$(BIN)/python -m analysis.report results/$(STUDY)

publish: env
	$(BIN)/python -m sweeps.publish results/$(STUDY)

# One searchable site of docs/ and the notebooks, with their output: open build/docs/index.html.
docs: env
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m sphinx -q -b html docs build/docs
	@echo "build/docs/index.html: written"

clean:
	rm -rf $(VENV)
