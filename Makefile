# make demo    train with and without raw text on the demo corpus, and compare (minutes)
# make test    the fast tests, on the installed package; make test SLOW=1 for all
# make lint    ruff and mypy
# make clean   remove the virtual environment, the demo's pipelines and caches
#
# Each sets up .venv by itself; PYTHON=python3.12 chooses another interpreter for it.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
SOURCES := $(shell find spacy_semivae -name '*.py') spacy_semivae/py.typed
MARKS := $(if $(filter-out 0,$(SLOW)),,-m "not slow")

# The models here are small: one thread is as fast, and repeatable on any number of cores.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test lint clean

demo: $(VENV)/package
	$(PY) -m spacy project run demo

# From the tests' folder, because Python would import the source tree from this one.
test: $(VENV)/package
	cd tests && SEMIVAE_INSTALLED=1 ../$(PY) -m pytest $(MARKS) --numprocesses auto --dist loadfile --durations=10 .

lint: $(VENV)/package
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy spacy_semivae

clean:
	rm -rf $(VENV) build dist *.egg-info training/demo
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/.hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/dependencies: setup.cfg constraints.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt setuptools wheel torch
	$(PIP) install --constraint constraints.txt --no-build-isolation ".[dev,vectors]"
	touch $@

# The folder build/ would bring back modules that were removed from the sources.
$(VENV)/package: $(VENV)/dependencies $(SOURCES) pyproject.toml
	rm -rf build
	$(PIP) install --quiet --no-deps --no-build-isolation --force-reinstall .
	rm -rf build spacy_semivae.egg-info
	touch $@
