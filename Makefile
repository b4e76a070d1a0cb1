PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PARALLEL := -n auto --maxprocesses=4

.PHONY: demo test lint slow docs clean

# Trains on the built-in data set, on the CPU, in under 5 minutes.
demo: $(VENV)/.installed
	$(BIN)/python launch.py train --config=demo --workdir=runs/demo

# The quick tests; `make slow` runs the long ones.
test: $(VENV)/.tested
	$(BIN)/python -m pytest -q $(PARALLEL) --dist=worksteal

slow: $(VENV)/.tested
	XLA_FLAGS=--xla_backend_optimization_level=1 $(BIN)/python -m pytest -q -m slow $(PARALLEL) --dist=worksteal

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The README and docs/ as a site: open build/docs/index.html. With -q mkdocs would not count its warnings.
docs: $(VENV)/.documented
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -f .mkdocs.yml

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "ganjax needs Python 3.11 to 3.13: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	touch $@

$(VENV)/.documented: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'
	touch $@

clean:
	rm -rf $(VENV)
