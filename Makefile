# Needs make and Python 3.10, 3.11 or 3.12; everything else goes into .venv.

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench checkpoint env clean

VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
MODELS := $(subst _,-,$(patsubst zoo/train_%.py,%,$(wildcard zoo/train_*.py)))

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Arguments: MODEL=<name> for checkpoint, PYTHON=<interpreter> for env"

demo: $(STAMP) ## Serve the audio-qa pipeline, ask it the sample question, show each step
	@$(BIN)/infergraph demo audio-qa

test: $(STAMP) ## Run all tests
	@$(BIN)/python -m pytest

lint: $(STAMP) ## Check style, types and pipelines
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/infergraph lint

bench: $(STAMP) ## Measure the serving overhead beside stock MLServer, and print a table
	@$(BIN)/python -m tests.bench

checkpoint: $(STAMP) ## Train the embedded checkpoint of MODEL again, from nothing
	@test -f "zoo/train_$(subst -,_,$(MODEL)).py" || { \
	  echo "make checkpoint needs MODEL=<name>, one of: $(MODELS)" >&2; exit 2; }
	@$(BIN)/python -m zoo.train_$(subst -,_,$(MODEL)) --output model-settings/$(MODEL)/embedded

env: $(STAMP) ## Create .venv and install everything, without running anything

clean: ## Remove .venv and all caches
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .metrics .envs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A name on the PATH may be an empty shim, and Debian's python3 has no ensurepip without
# python3-venv: so try each one.
define FIND_PYTHON
for python in $(PYTHON) python3.12 python3.11 python3.10 python3 python; do \
  if $$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' \
    >/dev/null 2>&1; then found=$$python; break; fi; \
done; \
if [ -z "$$found" ]; then \
  echo "Infergraph needs Python 3.10, 3.11 or 3.12 with venv (Debian and Ubuntu: apt install" >&2; \
  echo "python3-venv). None of these works: $(strip $(PYTHON) python3.12 python3.11 python3.10 python3)" >&2; \
  exit 1; \
fi
endef

# pip's own output is far too long to show, and silence looks like a hang: show what is large.
# Its errors go to stderr, past the filter.
$(STAMP): pyproject.toml
	@rm -f $@
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  $(FIND_PYTHON); \
	  echo "Creating $(VENV) with $$($$found --version)"; \
	  $$found -m venv --clear $(VENV); \
	}
	@echo "Installing packages into $(VENV) (some minutes and about 6 GB the first time)"
	@{ $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -e '.[test]' \
	  && touch $@; } | sed -n \
	    -e 's/^ *Downloading \([^ ]*\) (\([0-9.]* [MG]B\))$$/  downloading \1 (\2)/p' \
	    -e 's/^Installing collected packages.*/  unpacking/p'
	@test -f $@
