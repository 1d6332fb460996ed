# Everything here needs Python 3.11 or newer and nothing else; `make` alone lists the targets.

PYTHON ?= python3
UV ?= uv
BIN := .venv/bin
# Written last: a .venv without it was left half made, and is made again.
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help demo down test kills sequences compatibility mutants format docs lock clean .venv
.DELETE_ON_ERROR:

help:  ## list the targets
	@awk -F ':.*## ' '/^[.a-z]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(READY)  ## start the pipeline on this machine, with sample uploads
	$(BIN)/python -m nachet_pipeline.local.demo

down:  ## stop what `make demo` started
	@if [ -x $(BIN)/nachet ]; then $(BIN)/nachet down; else echo "nothing is installed here, so nothing runs"; fi

# Types are checked beside the tests, and what is wrong with them is told after those. How many processes the tests
# have, conftest.py says, and in which order the files come.
test: $(READY)  ## check style and types, run the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(BIN)/mypy > .venv/types 2>&1 & types=$$!; \
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder; tests=$$?; \
	wait $$types; types=$$?; cat .venv/types; exit $$((types | tests))

kills: $(READY)  ## kill 200 each of imports, decoders, deliverers, commands on models, and compare what becomes of them (nightly; KILLS=… SEED=…)
	$(BIN)/python -m nachet_pipeline_tests.durability --kills $(or $(KILLS),200) --seed $(or $(SEED),1)
	$(BIN)/python -m nachet_pipeline_tests.durability --decoders --kills $(or $(KILLS),200) --seed $(or $(SEED),1)
	$(BIN)/python -m nachet_pipeline_tests.durability --events --kills $(or $(KILLS),200) --seed $(or $(SEED),1)
	$(BIN)/python -m nachet_pipeline_tests.durability --models --kills $(or $(KILLS),200) --seed $(or $(SEED),1)

sequences: $(READY)  ## try 1,000 sequences of commands beside a model (nightly; SEQUENCES=…)
	NACHET_TEST_SEQUENCES=$(or $(SEQUENCES),1000) $(BIN)/python -m pytest -q nachet_pipeline_tests/any_order

compatibility: $(READY)  ## try other versions of Python and PostgreSQL, azcopy, and the image: what the machine has
	$(BIN)/python -m nachet_pipeline_tests.compatibility $(TRIALS)

mutants: $(READY)  ## put 500 defects in, one at a time, and list those no test finds (nightly; MUTANTS=… SEED=…)
	$(BIN)/python -m nachet_pipeline_tests.mutation --mutants $(or $(MUTANTS),500) --seed $(or $(SEED),1)

format: $(READY)  ## repair what ruff can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)  ## regenerate the pages and schemas in docs/ that are made from the code
	$(BIN)/python -m nachet_pipeline.contract.findings_page > docs/findings.md
	$(BIN)/python -m nachet_pipeline.contract.folder_contract > docs/folder-contract.md
	$(BIN)/python -m nachet_pipeline.contract.receipt_schema > docs/receipt.schema.json
	$(BIN)/python -m nachet_pipeline.events.event_schema > docs/event.schema.json

clean: down  ## stop everything, then forget all data and the installation
	@! head -n 1 .env 2>/dev/null | grep -q '^# Written by `nachet up --env`' || rm .env
	rm -rf .nachet .venv

.venv: $(READY)  ## install the project and all it needs, as locked

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "$(PYTHON) is missing or older than 3.11: name another one, make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) has no venv module: install it (Debian, Ubuntu: python3-venv)" >&2; exit 1; }
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# setuptools is what builds the project; locked too, so that nothing unpinned is fetched.
lock:  ## choose versions anew (needs uv)
	echo 'setuptools>=77' | $(UV) pip compile pyproject.toml - --all-extras --universal --upgrade --quiet \
		--generate-hashes --no-strip-extras --custom-compile-command 'make lock' \
		--output-file requirements.lock
	# The images' part of it: the same versions, without tests and embedded services, each with one launcher.
	for launcher in container-apps:azure-container-apps kubernetes:kubernetes; do \
		echo 'setuptools>=77' | $(UV) pip compile pyproject.toml - \
			--extra $${launcher%%:*} --extra communication-services \
			--constraints requirements.lock --universal --upgrade --quiet --no-annotate \
			--generate-hashes --no-strip-extras --custom-compile-command 'make lock' \
			--output-file deploy/$${launcher##*:}/requirements.lock || exit 1; \
	done
