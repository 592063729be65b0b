# make test: everything that must hold.  make demo: the whole way of the data, small, into demo/report.html.
PYTHON ?= python3.11
BIN := .venv/bin
NATIVE := CMakeLists.txt $(shell find core bindings -type f)

.PHONY: test demo lint clean

test: .venv/installed lint
	$(BIN)/pytest

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

demo: .venv/installed
	$(BIN)/pbgen demo --out demo

# What `npm pack` in web/ takes.
npm: .venv/installed wasm
	$(BIN)/python web/prepack.py

.venv/installed: pyproject.toml constraints.txt $(NATIVE)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $@

clean:
	rm -rf .venv build
