# Two commands for users (demo, test) and the checks behind them. Needs Python >= 3.11 and a package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet -c constraints.txt

.PHONY: demo test lint types imports check verify browser bench bench-check fuzz docs shipped validators sbom audit clean

demo: $(VENV)/.base  ## an estimate for the real 12-lead ECG that pydicom carries, and its page as demo.svg
	@ecg=$$($(BIN)/python -c 'from pydicom.data import get_testdata_file as f; print(f("waveform_ecg.dcm", download=False))') \
	&& $(BIN)/ecg-ka estimate "$$ecg" && $(BIN)/ecg-ka plot "$$ecg" -o demo.svg --force

test: $(VENV)/.dev  ## all tests but the benchmarks, two at a time; PYTEST_ARGS="-n 0 -x" for one after the other
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

check: lint types imports test

verify: $(VENV)/.dev browser  ## image, load, kill -9, interface: what takes minutes; `.ci/run` does check and verify
	$(BIN)/python -m pytest tests/verify $(PYTEST_ARGS)

bench: $(VENV)/.dev  ## ratios and rates, measured in one run
	$(BIN)/python -m pytest tests/benchmarks -o python_files='bench_*.py' -s
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.benchmarks.performance

bench-check: $(VENV)/.dev  ## fails when a ratio of docs/performance.md fell by more than 20 %
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.benchmarks.performance --check

browser: $(VENV)/.dev validators  ## the page in Debian's chromium
	$(BIN)/python -m pytest tests/browser $(PYTEST_ARGS)

docs: $(VENV)/.dev  ## docs/formats.md from the table of the corpus
	$(BIN)/python -m tests.ecg_ka.corpus

fuzz: $(VENV)/.dev  ## 200,000 damaged files over all readers; FUZZ_ARGS="--replay N" for one of them again
	$(BIN)/python -W ignore -m tests.ecg_ka.fuzz $(FUZZ_ARGS)

shipped: $(VENV)/.dev  ## make the shipped bundle from nothing (about an hour and a half on 2 cores)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash training/runs/shipped.sh

validators: .validators/.installed  ## what tests ask of npm: the FHIR R4 validator and axe-core

.validators/.installed: Makefile
	npm install --no-audit --no-fund --no-save --prefix .validators fhir@4.12.0 axe-core@4.14.1
	@touch $@

sbom: sbom.cdx.json  ## what the service needs, as CycloneDX

sbom.cdx.json: pyproject.toml constraints.txt | .tools/.installed
	$(PYTHON) -m venv --clear --without-pip .tools/service
	.tools/bin/pip --disable-pip-version-check --python .tools/service/bin/python install --quiet -c constraints.txt '.[service,exports,postgres,quality]'
	.tools/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible -o $@ .tools/service/bin/python

audit: .tools/.installed  ## known weaknesses of all in constraints.txt; strict: a package that cannot be asked about is an error
	.tools/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip --progress-spinner off

.tools/.installed: Makefile
	$(PYTHON) -m venv .tools
	.tools/bin/pip --disable-pip-version-check install --quiet cyclonedx-bom==7.5.0 pip-audit==2.10.1
	@touch $@

clean:
	rm -rf $(VENV) .validators .tools sbom.cdx.json .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build demo.svg

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.base
