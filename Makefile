# Every target sets itself up: `make demo` on a fresh clone needs Python ≥ 3.11, pip and make only.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test setup lint clean

setup: $(STAMP)

# Editable, so that a changed source file needs no new installation.
$(STAMP): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (about two minutes, once) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup
	@$(BIN)/python examples/demo.py

lint: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test: setup lint
	@$(BIN)/python -m pytest

clean:
	rm -rf $(VENV) demo build dist
