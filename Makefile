# Everything a developer types. `make` alone explains itself; each target installs what it needs, pinned by uv.lock.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The uv that is installed when the machine has none.
UV_VERSION := 0.13.8

# A name on PATH proves nothing (pyenv's shims fail unless their version is selected): take the first Python that really runs and fits.
# 3.13 first, because it is what AWS runs.
find_python = for python in python3.13 "$$HOME"/.pyenv/versions/3.13.*/bin/python3.13 python3.12 python3.11 python3; do \
	if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1; then \
		"$$python" -c 'import sys; print(sys.executable)'; exit 0; fi; done; \
	echo "No Python 3.11, 3.12 or 3.13 found on PATH; install one and try again." >&2; exit 1

RUN := .venv/bin

.PHONY: help up down reset test check bench sam-local

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: .venv/.synced ## Start the sandbox: emulated AWS, simulated carriers, demo data, one call
	@$(RUN)/python -m sandbox up

down: .venv/.synced ## Stop the sandbox and remove its data
	@$(RUN)/python -m sandbox down

reset: .venv/.synced ## Start the sandbox over with fresh data
	@$(RUN)/python -m sandbox reset

test: .venv/.synced ## Run every test
	@$(RUN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder

check: .venv/.synced ## Run formatter, linters, type checker and import contracts; validate the template
	@tools/check

bench: .venv/.synced ## Measure cold starts, overhead and package size against the peers
	@$(RUN)/python -m bench --write docs/performance.md

sam-local: .venv/.synced ## Run every file of events/ through `sam local invoke` (needs Docker)
	@$(RUN)/python tools/sam_local.py

# The virtual environment follows the lock file. uv comes from PATH or, on a machine without it, into .tools.
.venv/.synced: pyproject.toml uv.lock
	@python="$$($(find_python))"; \
	uv="$$(command -v uv || true)"; \
	if [[ -z "$$uv" ]] || ! "$$uv" --version >/dev/null 2>&1; then \
		uv=.tools/bin/uv; \
		if ! [[ -x "$$uv" ]]; then \
			echo "Installing uv $(UV_VERSION) into .tools"; \
			"$$python" -m venv .tools; \
			.tools/bin/pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"; \
		fi; \
	fi; \
	UV_PYTHON_DOWNLOADS=never "$$uv" sync --frozen --quiet --python "$$python"; \
	touch $@
