# Each stamp in .venv records an installation; it is repeated only when what it depends on changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt
REQUIREMENTS := pyproject.toml setup.cfg constraints.txt

# Tests run beside each other, so each takes one thread; scikit-learn skips its array API checks
# without SCIPY_ARRAY_API.
TEST_ENV := SCIPY_ARRAY_API=1 OMP_NUM_THREADS=1
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest -n 2
SOURCES := sklearn_emma tests $(wildcard examples benchmarks docs)

.DEFAULT_GOAL := help
.PHONY: help demo picture test lint test-slow bench bench-outliers examples docs linkcheck format clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed  ## install the package and watch EMMA survive a failing modality
	$(BIN)/python examples/demo.py

picture: $(VENV)/.installed  ## redraw the picture of the README
	$(BIN)/python examples/demo.py --picture docs/images/failing_modality.png

test: lint  ## install what tests need, run lint and tests
	$(PYTEST)

lint: $(VENV)/.installed-dev  ## check format, code, types and docstrings
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/python -m numpydoc lint $$(find sklearn_emma -name '*.py')

test-slow: $(VENV)/.installed-dev  ## run the slow tests too
	$(PYTEST) -m "slow or not slow"

bench: $(VENV)/.installed-dev  ## measure what we claim about robustness
	$(BIN)/python benchmarks/robustness.py --jobs 2

bench-outliers: $(VENV)/.installed-dev  ## hold the energies against the detectors of PyOD
	$(PIP) ".[bench]"
	$(BIN)/python benchmarks/outliers.py --jobs 2

examples: $(VENV)/.installed-dev  ## run every example
	@set -e; for example in examples/plot_*.py examples/plain_torch_loop.py; do \
		echo "$$example"; MPLBACKEND=agg $(BIN)/python "$$example"; \
	done

docs: $(VENV)/.installed-docs  ## build docs/_build/html: doctests, examples, links
	$(PYTEST) -m "slow or not slow" tests/test_docs.py tests/test_readme.py
	$(BIN)/python -m sphinx -b html -n -W --keep-going -q docs docs/_build/html
	$(BIN)/python docs/check_links.py
	@echo "Open docs/_build/html/index.html"

linkcheck: $(VENV)/.installed-docs  ## ask the network whether links to other sites lead somewhere
	$(BIN)/python -m sphinx -b linkcheck -q -D plot_gallery=0 docs docs/_build/linkcheck

format: $(VENV)/.installed-dev  ## format the code and mend what ruff can mend
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

clean:  ## remove the environment, caches and build products
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	rm -rf docs/_build docs/api/generated docs/auto_examples docs/sg_execution_times.rst
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(REQUIREMENTS) | $(VENV)/bin/python
	@echo "Installing sklearn_emma into $(VENV); the first time takes a few minutes."
	$(PIP) -e ".[plot,progress]"
	@touch $@

$(VENV)/.installed-dev: $(REQUIREMENTS) | $(VENV)/bin/python
	@echo "Installing sklearn_emma and its test tools into $(VENV); the first time takes a few minutes."
	$(PIP) -e ".[test,lint]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: $(REQUIREMENTS) | $(VENV)/bin/python
	@echo "Installing sklearn_emma and what builds its site into $(VENV); this takes a few minutes."
	$(PIP) -e ".[docs]"
	@touch $@ $(VENV)/.installed
