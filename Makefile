# What can be done here; `make` alone lists it. Each target first installs whatever it needs (scripts/setup.sh).

BIN := .venv/bin
TESTS ?= tests

.DEFAULT_GOAL := help
.PHONY: help run test test-long check format bench bench-nightly wheel lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-13s %s\n", $$1, $$2 }'

run: ## start the service on this machine, with its data in ./.ron-kms
	@scripts/setup.sh run
	@case "$$KMS_AMNESIA" in ""|0|false|no) export KMS_DATA_DIR="$${KMS_DATA_DIR:-./.ron-kms}";; esac; exec $(BIN)/ron-kms serve

test: ## run all tests (TESTS=tests/core for a part)
	@scripts/setup.sh dev
	@$(BIN)/python -m pytest -n 2 $(TESTS)

test-long: ## run the same tests at full counts, those of the whole service on Granian too
	@scripts/setup.sh dev
	@RON_KMS_TEST_LONG=1 $(BIN)/python -m pytest -n 2 $(TESTS)
	@RON_KMS_TEST_LONG=1 RON_KMS_TEST_SERVER=granian $(BIN)/python -m pytest -n 2 tests/e2e tests/server/test_processes.py

check: ## lint, formatting, types, and the shape of the house
	@scripts/setup.sh dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/architecture

format: ## write the formatting that check wants
	@scripts/setup.sh dev
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: ## measure batches against a C loop and pyca/cryptography, and the application over its cryptography
	@scripts/setup.sh dev
	@$(BIN)/python -m perf.micro
	@$(BIN)/python -m perf.edge $(if $(BENCH_FULL),--seconds 120,--seconds 12 --limit 20)

bench-nightly: ## all suites, the report, and the gates on drift (NIGHTLY=full for hours)
	@scripts/setup.sh dev
	@NIGHTLY=$(NIGHTLY) $(BIN)/python -m perf.nightly

wheel: ## sdist, wheel from it, repaired and audited, and all tests against it
	@scripts/setup.sh dev
	@$(BIN)/python scripts/wheel.py

lock: ## write the lock files anew (UPGRADE=--upgrade for newer versions)
	@scripts/setup.sh dev
	@scripts/lock.sh $(UPGRADE)

clean: ## remove what was built and installed here; keys and data stay
	rm -rf .venv build dist src/*.egg-info src/ron_kms/*.so src/ron_kms/_core.c
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
