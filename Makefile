# The verbs of this project; CI runs the same ones. Each installs what it needs and is missing.

PYTHON ?= python3
PHOTOS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
RIVALS := $(patsubst %,$(VENV)-rivals/%,torch tensorflow dali ffcv)
ADAPTERS := adapter huggingface jax tensorflow torch
SANITIZED := build/sanitized
SECONDS ?= 60
TARGETS ?= decode seek_points probe transcode
KERNELS := setup.py $(wildcard src_cython/*.pyx src_cython/*.pxd src_cython/kernels/*.[ch])

.DEFAULT_GOAL := help
.PHONY: build test test-all test-adapters lint types bench bench-baseline bench-guard bench-hdf5 bench-rivals bench-results bench-report demo test-sanitized check-neon fuzz clean help

build: $(VENV)/.built ## compile the kernels in place; the installed package is this tree
	@:

test: build $(VENV)/.group-test ## run the tests, and every benchmark once without timing; a cut of those that take minutes
	$(BIN)/python -m pytest -n auto

test-all: build $(VENV)/.group-test ## the same, with whole fault walks and sweeps
	$(BIN)/python -m pytest -n auto --all

# A process for each file of tests: PyTorch forks its workers, and a process that has loaded JAX must not fork.
test-adapters: ## run the adapters' tests beside PyTorch, TensorFlow, JAX and Hugging Face, in an environment of their own
	$(MAKE) VENV=$(VENV)-adapters build $(VENV)-adapters/.group-adapters
	for tests in tests/adapters/test_*.py "$(ADAPTERS:%=fastpack/%.py)"; do \
	    $(VENV)-adapters/bin/python -m pytest $$tests || exit 1; \
	done

lint: $(VENV)/.group-lint ## check the style of Python and Cython
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint src_cython

types: build $(VENV)/.group-lint ## check the types, and that the kernels' stubs tell the truth
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml --allowlist .stubtest-allowlist fastpack._native

bench: build $(VENV)/.group-bench ## time decoding, packing, reading and the import
	$(BIN)/python -m pytest benches --benchmark-enable --benchmark-only

bench-guard: build ## fail when a kernel became slower: by the committed ratios, or beside another revision (BASE=revision)
	$(BIN)/python -m benches.guard $(if $(BASE),--base "$(BASE)")

bench-baseline: build ## measure the ratios that bench-guard compares with anew, for this machine
	$(BIN)/python -m benches.guard --renew

bench-rivals: build $(VENV)/.group-bench $(RIVALS:=/.made) ## the same beside other libraries, in environments of their own
	$(BIN)/python -m benches.compare_rivals all --environments $(VENV)-rivals --json build/rivals.json \
	    $(if $(PHOTOS),--photos "$(PHOTOS)")

bench-results: build $(VENV)/.group-bench ## measure anew what the report shows beside the rivals: C loops, scaling, memory, profile
	for subject in train eval decode; do \
	    $(BIN)/python -m benches.compare $$subject --rounds 5 --json benches/results/loops-$$subject.json \
	        $(if $(PHOTOS),--photos "$(PHOTOS)") || exit 1; \
	done
	$(BIN)/python -m benches.scaling --json benches/results/scaling.json $(if $(PHOTOS),--photos "$(PHOTOS)")
	for subject in decodes pack; do \
	    $(BIN)/python -m benches.memory $$subject --json benches/results/memory-$$subject.json \
	        $(if $(PHOTOS),--photos "$(PHOTOS)") || exit 1; \
	done
	$(BIN)/python -m benches.profile --json benches/results/profile.json $(if $(PHOTOS),--photos "$(PHOTOS)")

bench-report: $(VENV)/.made $(VENV)/.group-bench ## draw benches/results/*.json as build/benchmarks.html, and into the documents
	$(BIN)/python -m benches.report benches/results/*.json --documents .

bench-hdf5: build $(VENV)-rivals/hdf5/.made ## random batches out of HDF5 files beside h5py, hdf5plugin, hidefix and b2h5py: some eight minutes
	PYTHONPATH="$(CURDIR)" $(VENV)-rivals/hdf5/bin/python -m benches.compare hdf5 --records 10000 --rounds 3 \
	    --json build/hdf5.json $(if $(PHOTOS),--photos "$(PHOTOS)")

demo: build $(VENV)/.group-demo ## pack some thousand photographs (or PHOTOS=folder), read them back, draw a contact sheet
	$(BIN)/python demo/demo.py $(if $(PHOTOS),--photos "$(PHOTOS)")

# A second tree, since these kernels load only where the sanitizers' libraries came first. No forks among threads:
# the locks of the sanitizer's allocator do not survive one.
test-sanitized: build $(VENV)/.group-test ## run the tests over kernels that notice bad memory use and undefined behaviour
	rm -rf $(SANITIZED)/tree
	FASTPACK_DEBUG=1 FASTPACK_SANITIZE=address,undefined $(BIN)/python setup.py --quiet build \
	    --build-base $(SANITIZED) --build-lib $(SANITIZED)/tree
	cp -r README.md benches conftest.py docs pyproject.toml src_cython tests $(SANITIZED)/tree
	cd $(SANITIZED)/tree && \
	    LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libubsan.so)" \
	    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	    $(CURDIR)/$(BIN)/python -m pytest --capture=sys -k "not forked" tests

# What is missing is skipped: Debian's packages are gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user.
check-neon: build $(VENV)/.group-test ## compile the JPEG kernels for aarch64, run them under qemu, compare pixels
	$(BIN)/python -m pytest -rs tests/test_portable.py

fuzz: $(VENV)/.group-test ## look for files that break the native kernels: SECONDS=60 for each of TARGETS (see fuzz/README.md)
	for target in $(TARGETS); do PYTHON=$(BIN)/python fuzz/run.sh $$target $(SECONDS) || exit 1; done

clean: ## remove what was built and the demo's output; the virtual environment stays
	rm -rf build demo-output *.egg-info fastpack/_native/*.so $(VENV)/.built
	rm -rf .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

$(VENV)/.made:
	tools/system-packages.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade "pip>=25.1"
	touch $@

# A rival that cannot be had stops nobody: it is named as missing. FFCV compiles against its requirements, so it comes after them.
$(VENV)-rivals/ffcv/.made: LAST := --no-build-isolation ffcv==1.0.2
$(VENV)-rivals/%/.made: benches/rivals/requirements-%.txt
	$(PYTHON) -m venv $(@D)
	-$(@D)/bin/pip --disable-pip-version-check --quiet install --requirement $< \
	    $(if $(LAST),&& $(@D)/bin/pip --disable-pip-version-check --quiet install $(LAST)) && touch $@

$(VENV)/.group-%: pyproject.toml $(VENV)/.made
	$(PIP) install --group $*
	touch $@

$(VENV)/.built: pyproject.toml $(KERNELS) $(VENV)/.group-build
	$(PIP) install --no-build-isolation --editable .
	touch $@
