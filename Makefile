# The commands of this project; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
# The controller's Python: PYTHON=/usr/bin/python3.12 make venv. By default the newest that ansible-core supports.
PYTHON ?=
# More arguments for pytest: make unit ARGS='-k rules -x'
ARGS ?=
# How many times more random examples, and fresh ones, `make slow` draws: make slow EXAMPLES=50 ARGS='-m random'
EXAMPLES ?= 5

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE := 1
# The link tree .build/collections makes this checkout importable and runnable as ansible_collections.homeward.metallb_routing.
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.build/collections
unexport ANSIBLE_CONFIG

# $(call run,PATH,WHAT): runs a part of the project that may not have been written yet.
run = @if [ -e "$(1)" ]; then $(2); else echo "$@: $(1) is not there yet" >&2; exit 1; fi

.PHONY: help
help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##### What the others need

.PHONY: deps
deps: ## Install the Debian packages that the tests need (root; nothing where all are there)
	@tools/install-debian-packages

.PHONY: venv
venv: .build/collections ## Make .venv with Ansible and the tools, pinned (nothing where it is up to date)
	@tools/make-venv $(VENV) $(PYTHON)

.build/collections:
	@mkdir -p $@/ansible_collections/homeward
	@ln -sfn ../../../.. $@/ansible_collections/homeward/metallb_routing

##### Checks that need no root, the quickest first

.PHONY: lint
lint: venv lint-style lint-types lint-changelog lint-ansible lint-docs lint-tarball sanity ## All checks of style, types, docs and packaging
	@echo "lint: all well"

.PHONY: lint-style
lint-style: venv
	@echo "== ruff"; ruff check --quiet --output-format concise .; ruff format --check --quiet .
	@echo "== yamllint"; yamllint --strict .
	@echo "== shellcheck"; shellcheck .ci/run $$(grep -lE '^#!.*\b(ba)?sh$$' tools/* bench/run demo/run tests/*/run molecule/run molecule/containers/* 2>/dev/null)

.PHONY: lint-types
lint-types: venv
	@echo "== mypy"; mypy --package ansible_collections.homeward.metallb_routing.plugins
	@mypy tools/*.py

.PHONY: lint-changelog
lint-changelog: venv
	@echo "== antsibull-changelog"; antsibull-changelog lint; antsibull-changelog lint-changelog-yaml changelogs/changelog.yaml

.PHONY: lint-ansible
lint-ansible: venv
	@echo "== ansible-lint"; ansible-lint -q --nocolor

.PHONY: lint-docs
lint-docs: venv
	@echo "== antsibull-docs"; antsibull-docs lint-collection-docs --plugin-docs .

.PHONY: lint-tarball
lint-tarball: venv
	@echo "== tarball"; python tools/check_tarball.py

.PHONY: sanity
sanity: venv ## Ansible's own sanity tests on every Python that is here, from 3.9 on
	@echo "== ansible-test sanity"; python tools/run_sanity.py $(ARGS)

##### Tests

.PHONY: unit
unit: venv ## Test the pure code and the repository itself (no root, seconds)
	@pytest tests/unit $(ARGS)

.PHONY: kernel
kernel: deps venv ## Test modules, roles and the lab in network namespaces (root)
	$(call run,tests/kernel,pytest -m 'not slow' $(wildcard tests/lab tests/kernel) $(ARGS))

.PHONY: test
test: deps venv ## Everything that passes on any machine
	@for folder in tests/unit tests/lab tests/kernel; do [ -d $$folder ] || echo "test: $$folder is not there yet"; done
	@pytest -m 'not slow' $(wildcard tests/unit tests/lab tests/kernel) $(ARGS)

.PHONY: slow
slow: deps venv ## The tests that take minutes: every service from every client in every world, fresh random examples (root)
	@HOMEWARD_FRESH_EXAMPLES=$(EXAMPLES) pytest -m 'slow or random' tests/kernel $(ARGS)

##### The lab

# Before deps and venv, which take their time.
.PHONY: need-root
need-root:
	@[ "$$(id -u)" -eq 0 ] || { echo "The lab is made of network namespaces, which needs root: sudo make $(MAKECMDGOALS)" >&2; exit 1; }

.PHONY: lab
lab: need-root deps venv ## Set up the lab: nodes, routers and clients in network namespaces (root)
	$(call run,tests/lab/__main__.py,python -m tests.lab up)

.PHONY: lab-down
lab-down: need-root venv ## Take the lab down
	$(call run,tests/lab/__main__.py,python -m tests.lab down)

.PHONY: demo
demo: need-root deps venv ## Show the main job on the lab: who reaches the address before and after (root)
	$(call run,demo/run,demo/run)

.PHONY: bench
bench: need-root deps venv ## Measure a run against many pools and rules (root)
	$(call run,bench/run,bench/run)

.PHONY: vm
vm: deps venv ## The kernel tests and VLAN, IPVS, reboot on a stock Debian kernel in qemu
	$(call run,tests/vm/run,tests/vm/run)

.PHONY: molecule
molecule: deps venv ## Roles in systemd containers: two scenarios, ALL=1 for all, or SCENARIO=node DEBIAN=13,11 (root)
	@molecule/run

##### Documentation and releases

.PHONY: docs
docs: venv ## The modules' and roles' pages as HTML in .build/docs/html
	@python tools/build_docs.py .build/docs

.PHONY: changelog
changelog: venv ## Bring the current version's changelog up to date with fragments and modules
	@antsibull-changelog release --update-existing --reload-plugins --refresh

.PHONY: tarball
tarball: venv ## Build the collection's tarball into .build
	@ansible-galaxy collection build --force --output-path .build

##### Housekeeping

.PHONY: clean
clean: ## Remove what these commands made
	rm -rf $(VENV) .build .hypothesis .mypy_cache .pytest_cache .ruff_cache .ansible .cache tests/output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
