# make test: everything that must hold.  make demo: the whole way of the data, small, into demo/report.html.
PYTHON ?= python3.11
BIN := .venv/bin
NATIVE := CMakeLists.txt $(shell find core bindings -type f)

# The engine for browsers and Node, built by the compiler that comes with ziglang.
WASM := src/pbgen/web/pbgen.wasm src/pbgen/web/pbgen-relaxed.wasm

.PHONY: test demo lint clean wasm npm

test: .venv/installed wasm lint
	$(BIN)/pytest

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

demo: .venv/installed wasm
	$(BIN)/pbgen demo --out demo

# What `npm pack` in web/ takes.
npm: .venv/installed wasm
	$(BIN)/python web/prepack.py

.venv/installed: pyproject.toml constraints.txt $(NATIVE)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $@

wasm: $(WASM)

$(WASM) &: core/CMakeLists.txt $(shell find core/cmake core/include core/src core/wasm -type f) | .venv/installed
	$(BIN)/python core/wasm/build.py

clean:
	rm -rf .venv build $(WASM)
