# Everything a newcomer needs: `make demo`, `make test`. A virtual environment is made in
# .venv on first use; PYTHON chooses the interpreter (3.11 or newer).

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.installed
URL ?= local://

.PHONY: demo test check lint bench bench-server bench-persistence bench-locks compatibility fuzz soak linearizability clean

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[all]" --group dev
	touch $@

demo: $(READY) ## Index the standard library with a pool of workers: make demo [URL=redis://…]
	$(BIN)/sharedstate --url "$(URL)" demo --verify

test: lint ## Every check, and the whole suite (what `check` tests is part of it)
	$(BIN)/python -m pytest -n auto

check: lint ## The checks alone: lint, types, import rule, wheel, documentation, examples
	$(BIN)/python -m pytest -n auto tests/test_imports.py tests/test_wheel.py \
		tests/test_docs.py tests/test_examples.py tests/unit/framework/test_documentation.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY) ## sharedstate beside what you would pick instead, as ratios
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/wakeup.py
	$(BIN)/python benchmarks/compare.py

FUZZ_SECONDS ?= 600

fuzz: $(READY) ## Break the engine, guided by coverage: make fuzz [FUZZ_SECONDS=600]
	$(BIN)/python -c "import atheris" 2>/dev/null || $(BIN)/python -m pip install --quiet atheris
	mkdir -p .fuzz/corpus .fuzz/found
	$(BIN)/python -m tests.fuzz.guided .fuzz/corpus -artifact_prefix=.fuzz/found/ \
		-max_total_time=$(FUZZ_SECONDS) -max_len=600 -timeout=20

SOAK_KILLS ?= 100

soak: $(READY) ## Kill the server again and again, and check what it kept: make soak [SOAK_KILLS=100]
	SOAK_KILLS=$(SOAK_KILLS) $(BIN)/python -m tests.faults.soak

LINEARIZABILITY_SECONDS ?= 60

linearizability: $(READY) ## Workers, faults, and the checker: make linearizability [LINEARIZABILITY_SECONDS=60]
	LINEARIZABILITY_SECONDS=$(LINEARIZABILITY_SECONDS) $(BIN)/python -m pytest tests/linearizability

compatibility: $(READY) ## Write the tables of docs/compatibility.md from the command table
	$(BIN)/python -m tests.compatibility

bench-server: $(READY) ## The built-in server beside redis-server: rates, latency, eviction, memory
	$(BIN)/python benchmarks/server.py
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/eviction.py
	$(BIN)/python benchmarks/memory.py

bench-persistence: $(READY) ## What keeping data costs, beside redis-server: files, rates, latency, memory
	$(BIN)/python benchmarks/persistence.py

bench-locks: $(READY) ## Locks beside those of redis-py, python-redis-lock, pottery and Manager
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	$(BIN)/python benchmarks/locks.py

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks .fuzz dist build
