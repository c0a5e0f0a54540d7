# Python for .venv is the first of these that is 3.11 to 3.13; `make PYTHON=...` names another.
PYTHON ?= python3.13 python3.12 python3.11 python3
BIN := .venv/bin

.PHONY: demo test test-all check bench clean
.DELETE_ON_ERROR:

demo: .venv/.installed  ## sweep the diabetes study with all cores: 30 trials, under two minutes on two
	$(BIN)/sweep start studies/diabetes.py
	@echo
	@echo "To look at the study:"
	@echo "  source .venv/bin/activate     lets this shell find the command sweep"
	@echo "  sweep serve                   shows the study in a browser, at http://127.0.0.1:8080/"

test: .venv/.dev  ## run all tests but the slow ones, in about a quarter of an hour on two cores; `make test ARGS=tests/test_names.py` runs some
	$(BIN)/python -m pytest -n auto -m 'not slow or sample' $(ARGS)

test-all: .venv/.dev  ## run every test; `make test-all ARGS="-m 'slow and not sample'"` runs only what `make test` leaves out
	$(BIN)/python -m pytest -n auto $(ARGS)

check: .venv/.dev  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/.dev  ## measure what the README says about speed
	@set -e; for file in benchmarks/*.py; do echo "$$file"; $(BIN)/python "$$file"; done

clean:  ## remove what make and the tests made; runs/ and sweep.db stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find sweep studies tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

# Stamps: pip runs again when pyproject.toml has changed. An older .venv has this project as `sweep`, its former name.
.venv/.installed: PACKAGE = .
.venv/.dev: PACKAGE = .[dev]
.venv/.installed .venv/.dev: pyproject.toml | $(BIN)/python
	@echo "Installing into .venv; the first time TensorFlow comes with it, which takes some minutes"
	@$(BIN)/python -m pip uninstall --quiet --quiet --disable-pip-version-check --yes sweep
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '$(PACKAGE)'
	@touch $@

$(BIN)/python:
	@for python in $(PYTHON); do \
		if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
			"$$python" -m venv .venv || { rm -rf .venv; exit 1; }; \
			exit 0; \
		fi; \
	done; \
	echo "sweep needs Python 3.11, 3.12 or 3.13, and none of these is: $(PYTHON)" >&2; exit 1
