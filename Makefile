# Makes the environment and calls `python -m twinlab`, which is the real entry and works where there is no make.
#   make lab     set up if needed, then open JupyterLab on the welcome notebook
#   make test    set up if needed, then lint, types and every test
#   make run     every notebook headless into runs/
#   make setup   the set-up alone
# On Linux, torch comes from PyTorch's CPU index, which spares gigabytes of CUDA. With a GPU: make setup TORCH_INDEX=

PYTHON ?= python3
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH := $(shell grep '^torch==' constraints.txt)
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
PIP := $(RUN) -m pip --disable-pip-version-check
# One try and five seconds for PyTorch's own index; whatever else pip finds is taken otherwise.
CPU_TORCH := $(if $(TORCH_INDEX),--retries 0 --timeout 5 --extra-index-url $(TORCH_INDEX))

.PHONY: lab run test test-all setup lock clean

lab: $(READY)
	@$(RUN) -m twinlab lab

run: $(READY)
	@$(RUN) -m twinlab run

test: $(READY)
	@$(RUN) -m twinlab test

test-all: $(READY)
	@$(RUN) -m twinlab test -m "thorough or not thorough" -n 2 --dist loadfile

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "twinlab needs Python 3.11, 3.12 or 3.13; $(PYTHON) is another. Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "[1/3] environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || \
	  { $(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(RUN) install --quiet pip; } || \
	  { echo "No environment could be made. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "[2/3] $(TORCH) (about 200 MB)"
	@$(PIP) install --quiet $(CPU_TORCH) -c constraints.txt "$(TORCH)" || \
	  $(PIP) install --quiet -c constraints.txt "$(TORCH)"
	@echo "[3/3] everything else (about 1 GB on disk, a few minutes on a slow network)"
	@$(PIP) install --quiet -c constraints.txt -e '.[test]'
	@touch $@

# Written by uv (in the environment) for all supported Python versions and systems at once.
lock: $(READY)
	@$(PIP) install --quiet uv
	@$(VENV)/bin/uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --upgrade \
	  --no-annotate --no-emit-index-url --custom-compile-command "make lock" -o constraints.txt

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
