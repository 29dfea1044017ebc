# `make demo`, `make test`: each sets up what it needs in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo demo-real install test test-ray checks lint format docs bench bench-accelerator clean

demo: $(VENV)/installed
	@$(BIN)/python -m jepa_jax.demo

# Downloads 90 MB more, a pretrained ViT-S/14; then two to three minutes.
demo-real: $(VENV)/installed-real
	@$(BIN)/python -m tools.demo_real

test: $(VENV)/installed-test
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

# What the targets below need, in one environment: make them before any run beside each other.
install: $(VENV)/installed-test
	@$(MAKE) --no-print-directory $(VENV)/installed-docs

# What `make test` skips, so as not to install Ray.
test-ray: $(VENV)/installed-ray
	$(BIN)/python -m pytest tests/scoring/test_cluster.py

# What `.ci/run` asks for beside the tests.
checks: lint
	@$(MAKE) --no-print-directory docs

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/installed-docs
	$(BIN)/python -m tools.site --out build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "build/site/index.html"

bench: $(VENV)/installed-test
	$(BIN)/python -m benchmarks.exact --out build/benchmarks

# With JAX for the accelerator in $(VENV): $(BIN)/pip install 'jax[cuda13]' or 'jax[tpu]'.
bench-accelerator: $(VENV)/installed-test
	$(BIN)/python -m benchmarks.accelerator --out build/benchmarks

clean:
	rm -rf $(VENV) build *.egg-info scores-demo scores-demo-real scores-demo-real.html

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "python3 -m venv failed; on Debian: apt install python3-venv"; exit 1; }

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --config-settings editable_mode=compat
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]' --config-settings editable_mode=compat
	@# What timm's layout is compared with. Without the torchvision that it asks for: nothing of it is
	@# used, and its wheels load only beside the PyTorch build that they were made for.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps 'timm>=1.0.31'
	@touch $(VENV)/installed $@

$(VENV)/installed-real: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo-real]' --config-settings editable_mode=compat
	@touch $(VENV)/installed $@

$(VENV)/installed-ray: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,ray]' --config-settings editable_mode=compat
	@touch $@

$(VENV)/installed-docs: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]' --config-settings editable_mode=compat
	@touch $(VENV)/installed $@
