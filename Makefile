# Everything runs in .venv, which the first command that needs it creates.
PYTHON ?= python3
BIN := .venv/bin
THEME := book/_theme
# The newest PyTorch that the book is tested with; see "PyTorch without CUDA" in the README.
TORCH := 2.13.0

# Packages come in groups, each with a lock; a command installs those that it needs.
BOOK := .venv/.book $(THEME)/node_modules/.ready
TEST := .venv/.test $(THEME)/node_modules/.ready
BENCH := .venv/.bench $(THEME)/node_modules/.ready

export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup build pdf epub test notebooks chapter diff bench confirm release wheel live lab screenshots format lock clean distclean

help: ## print this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: $(BENCH) ## install everything the other commands need

build: $(BOOK) ## run the chapters and make the website in _build/html
	@$(BIN)/python -m tools.build $(if $(FORCE),--force)

pdf: $(BOOK) ## print the built book as _build/book.pdf
	@$(BIN)/python -m tools.paper

epub: $(BOOK) ## make the EPUB of the built book, _build/book.epub
	@$(BIN)/python -m tools.pocket

test: $(TEST) ## check style, types, library, notebooks and site
	@$(BIN)/python -m tools.run_tests $(if $(FORCE),--force)

notebooks: $(BOOK) ## run what changed into the reference notebooks in book/notebooks
	@$(BIN)/python -m tools.notebooks

chapter: $(BOOK) ## run one chapter into its reference notebook (NAME=03-drives)
	@$(BIN)/python -m tools.notebooks $(if $(NAME),$(NAME),--one)

diff: $(BOOK) ## show what changed in the reference notebooks (SINCE=commit, by default the last one)
	@$(BIN)/python -m tools.diff $(SINCE)

bench: $(BENCH) ## measure speed and memory, and write tree_world/studies/results (FULL=1: all studies, too; CLUSTER=ADDRESS: those on a Dask cluster)
	@$(BIN)/python -m benchmarks $(if $(FULL)$(CLUSTER),--full) $(if $(CLUSTER),--cluster=$(CLUSTER))

confirm: $(BENCH) ## run the short form of every study, and say whether it agrees with what is stored
	@$(BIN)/python -m benchmarks --short

wheel: .venv/.book ## try the library's wheel by itself, in an environment of its own (FULL=1: its examples, too)
	@$(BIN)/python -m tools.wheel $(if $(FULL),--examples)

release: $(BENCH) ## check this commit, tag it with its version, and say what to push (DRY=1: no tag)
	@$(BIN)/python -m tools.release $(if $(DRY),,--tag)

live: $(BOOK) ## serve the book and reload it while chapters are edited
	@$(BIN)/python -m tools.live

lab: $(BOOK) ## open the chapters as notebooks in JupyterLab
	@$(BIN)/python -m tools.lab

screenshots: $(TEST) ## take pictures of the built book, and renew the one in the README
	@$(BIN)/python -m tools.screenshots

format: $(TEST) ## format the Python sources
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

lock: $(TEST) ## choose newer versions and write requirements/*.lock (KEEP=1: only what must change)
	@$(BIN)/python -m tools.lock $(TORCH) $(if $(KEEP),--keep)

clean: ## remove what was built, keep what was installed
	@rm -rf _build .cache tests/artifacts $(THEME)/public .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean ## remove what was installed, too
	@rm -rf .venv $(THEME)/node_modules *.egg-info

# A stamp is written last, so that an interrupted installation is taken up again.
.venv/.test: .venv/.book
.venv/.bench: .venv/.test
.venv/.%: requirements/%.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15) and "Python 3.11 to 3.14 is needed, but $(PYTHON) is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12 ...")'
	@echo "Installing Python packages into .venv: $* (some minutes the first time) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq -r requirements/$*.lock
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation -e .
	@touch $@

$(THEME)/node_modules/.ready: .venv/.book $(THEME)/package-lock.json
	@echo "Installing the theme's packages ..."
	@npm ci --silent --prefix $(THEME)
	@touch $@
