# make report   the quarterly attrition report of the shipped portfolio
# make sample   two quarters of it, the second compared with the first
# make test     the tests
# Both create .venv first when it is missing.

VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# a file to a core, in the order of tests/conftest.py: the longest first
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help report sample test slow check benchmark clean

help:
	@echo "make report     write the quarterly report of the shipped portfolio to reports/2026Q3"
	@echo "make sample     write the reports of two quarters, compared, to reports/sample"
	@echo "make test       run the tests (make slow: the simulations and more examples too)"
	@echo "make check      ruff, mypy and the import contracts"
	@echo "make benchmark  time the kernels against their peers"
	@echo "make clean      remove .venv and caches"

report: $(READY)
	@$(BIN)/churnsurv report reports/quarterly.toml --force || [ $$? -eq 3 ]  # 3: made, with findings

# the second reads the first; exit code 3 is "made, with findings"
sample: $(READY)
	@for quarter in 2026Q2 2026Q3; do \
		$(BIN)/churnsurv report reports/sample/$$quarter.toml --formats html,json --force || [ $$? -eq 3 ] || exit 1; \
	done

test: $(READY)
	@$(PYTEST)

slow: $(READY)
	@$(PYTEST) -m "slow or not slow"

check: $(READY)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache

benchmark: $(READY)
	@$(BIN)/python benchmarks/cox.py --repeat 1

$(READY): pyproject.toml constraints.txt
	@sh .ci/environment.sh "$(VENV)"
	@touch "$@"

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
