# Short commands. `make venv` makes the environment .venv; to use another: make test PYTHON=python
PYTHON ?= .venv/bin/python

.PHONY: quick venv install lock test slow lint docs bench smoke starter ui clean

quick: venv  ## install into .venv and train a U-Net on synthetic films
	PATH="$(CURDIR)/.venv/bin:$$PATH" $(PYTHON) -m mlflow run . -e train -P model=unet --env-manager local

venv: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/python -m pip install -q -c constraints.txt -e '.[test]'
	touch $@

install:
	$(PYTHON) -m pip install -c constraints.txt -e '.[test]'

lock:  ## write constraints.txt for pyproject.toml; versions in it stay, unless UPGRADE=--upgrade
	$(PYTHON) -m uv pip compile -q --all-extras --universal --python-version 3.11.5 --no-annotate $(UPGRADE) \
		--custom-compile-command "make lock" pyproject.toml -o constraints.txt

test:  ## the test command of the README
	$(PYTHON) -m pytest -n auto --dist loadfile

slow:
	$(PYTHON) -m pytest -m slow

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

docs:  ## write the generated pages, then the site into site/
	$(PYTHON) docs/generate.py
	$(PYTHON) -m mkdocs build --strict

bench:  ## the short measurements, minutes; writes the table of benchmarks/README.md
	PYTHONPATH=.:tests $(PYTHON) benchmarks/bench.py

smoke:
	PATH="$(dir $(abspath $(PYTHON))):$$PATH" $(PYTHON) -m mlflow run . --env-manager local

starter:  ## train the starter model (hours; the same command resumes it) and write it into the package
	$(PYTHON) -m starter

ui:
	$(PYTHON) -m spondylo_ml ui

clean:
	rm -rf build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache
