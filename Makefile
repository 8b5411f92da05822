# Two commands do everything: `make repro` and `make test`. Both make .venv first; the rest is for convenience.

export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Another environment's modules must not reach into .venv.
unexport PYTHONPATH PYTHONHOME
export PYTHONNOUSERSITE := 1

CHECKS := "ruff check ." "ruff format --check ." "mypy" "pytest -n auto --maxprocesses 4"

.PHONY: help repro test bench lint format docs mlflow lock clean

help: ## shows this list
	@echo "make TARGET [PYTHON=python3.12]"
	@sed -n 's/^\([a-z]*\):.*## /  \1\t/p' Makefile | expand -t 12

repro: ## makes .venv and runs the pipeline on params.yaml; what is up to date is not run again
	@tools/make_venv.sh
	@tools/match_git.sh
	@thumbnet check >/dev/null
	@dvc repro
	@thumbnet results

test: ## makes .venv with the test extra and runs ruff, mypy and pytest
	@tools/make_venv.sh test
	@failed=; \
	for check in $(CHECKS); do \
	    echo "== $$check"; \
	    OMP_NUM_THREADS=1 $$check || failed="$$failed, $$check"; \
	done; \
	if [ -n "$$failed" ]; then echo "Failed: $${failed#, }"; exit 1; fi; \
	echo "All passed"

bench: ## compares thumbnet with other tools, see docs/performance.md [CIFAR10=path] [MNIST=path] [ARGS="--resume"]
	@tools/make_venv.sh
	@tools/make_bench_venv.sh
	@python -m benchmarks.run $(if $(CIFAR10),--cifar10 "$(CIFAR10)") $(if $(MNIST),--mnist "$(MNIST)") $(ARGS)

lint: ## runs ruff and mypy alone
	@tools/make_venv.sh test
	ruff check .
	ruff format --check .
	mypy

format: ## rewrites the code as ruff likes it
	@tools/make_venv.sh test
	ruff check --fix .
	ruff format .

docs: ## writes docs/params.md, the reference of all parameters
	@tools/make_venv.sh
	thumbnet params >docs/params.md

mlflow: ## opens MLflow's pages on this project's runs
	@tools/make_venv.sh
	@if [ -n "$$MLFLOW_TRACKING_URI" ]; then \
	    echo "Runs go to MLFLOW_TRACKING_URI=$$MLFLOW_TRACKING_URI; its own pages show them"; \
	else \
	    mlflow ui --backend-store-uri sqlite:///mlflow.db; \
	fi

lock: ## brings requirements.lock in line with pyproject.toml (newest versions: tools/lock.sh --upgrade)
	@tools/make_venv.sh
	tools/lock.sh

clean: ## removes what the pipeline made; .venv, DVC's cache, MLflow's runs and your data/local stay
	find data -mindepth 1 -maxdepth 1 ! -name local -exec rm -rf {} +
	rm -rf models dvc_plots
