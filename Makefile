# Short commands. The environment is made by `make venv` in .venv, or give your own: make test PYTHON=python
PYTHON ?= .venv/bin/python

.PHONY: quick venv install test slow lint smoke ui clean

quick: venv  ## install into .venv and train a U-Net on synthetic films
	PATH="$(CURDIR)/.venv/bin:$$PATH" $(PYTHON) -m mlflow run . -e train -P model=unet --env-manager local

venv: .venv/installed

.venv/installed: pyproject.toml
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/python -m pip install -q -e '.[test]'
	touch $@

install:
	$(PYTHON) -m pip install -e '.[test]'

test:  ## what the README tells a newcomer to run
	$(PYTHON) -m pytest -n auto --dist loadfile

slow:
	$(PYTHON) -m pytest -m slow

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

smoke:
	PATH="$(dir $(abspath $(PYTHON))):$$PATH" $(PYTHON) -m mlflow run . --env-manager local

ui:
	$(PYTHON) -m mlflow ui

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
