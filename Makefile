# `make` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
# Python of the controller, for example PYTHON=/usr/bin/python3.12; by default the newest one that ansible-core supports.
PYTHON ?=
# Additional arguments for pytest or ansible-test: make unit ARGS='-k rules -x'
ARGS ?=
# Multiplies the random examples that `make slow` draws: make slow EXAMPLES=50 ARGS='-m random'
EXAMPLES ?= 5

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE := 1
# .build/collections links to this checkout, so that Ansible and Python find it as ansible_collections.homeward.metallb_routing.
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.build/collections
unexport ANSIBLE_CONFIG

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##### Prerequisites

.PHONY: deps
deps: ## Install the Debian packages that the tests need and this machine lacks (root)
	@tools/install-debian-packages

.PHONY: venv
venv: .build/collections ## Create or update .venv with pinned versions of Ansible and the development tools
	@tools/make-venv $(VENV) $(PYTHON)

.build/collections:
	@mkdir -p $@/ansible_collections/homeward
	@ln -sfn ../../../.. $@/ansible_collections/homeward/metallb_routing

##### Static checks (no root)

.PHONY: lint
lint: venv lint-style lint-types lint-changelog lint-ansible lint-docs lint-tarball sanity ## Check style, types, documentation and packaging
	@echo "lint: passed"

.PHONY: lint-style
lint-style: venv
	@echo "== ruff"; ruff check --quiet --output-format concise .; ruff format --check --quiet .
	@echo "== yamllint"; yamllint --strict .
	@echo "== shellcheck"; shellcheck .ci/run $$(grep -lE '^#!.*\b(ba)?sh$$' tools/* bench/run bench/private_files demo/run tests/*/run molecule/run molecule/containers/* tests/vm/prepare 2>/dev/null)

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
sanity: venv ## Run ansible-test sanity with every installed Python from 3.9 on
	@echo "== ansible-test sanity"; python tools/run_sanity.py $(ARGS)

##### Tests

.PHONY: unit
unit: venv ## Test the code that needs no kernel, and the repository itself (no root, seconds)
	@pytest tests/unit $(ARGS)

.PHONY: kernel
kernel: deps venv ## Test modules, roles and the lab in network namespaces (root)
	@pytest -m 'not slow' tests/lab tests/kernel $(ARGS)

.PHONY: test
test: deps venv ## Run every test that passes on any machine; as root, the kernel tests too
	@pytest -m 'not slow' tests/unit tests/lab tests/kernel $(ARGS)

.PHONY: slow
slow: deps venv ## Run the tests that take minutes: full delivery matrices, fresh random examples (root)
	@HOMEWARD_FRESH_EXAMPLES=$(EXAMPLES) pytest -m 'slow or random' tests/kernel $(ARGS)

.PHONY: matrix
matrix: deps venv ## Test the playbooks with ansible-core 2.16 to 2.21, or ARGS='2.16 2.18' (root)
	@python tools/matrix.py $(ARGS)

##### The lab

# Comes first, so that it fails before deps and venv take their time.
.PHONY: need-root
need-root:
	@[ "$$(id -u)" -eq 0 ] || { echo "The lab consists of network namespaces, which need root: sudo make $(MAKECMDGOALS)" >&2; exit 1; }

.PHONY: lab
lab: need-root deps venv ## Set up the lab: nodes, routers and clients in network namespaces (root)
	@python -m tests.lab up

.PHONY: lab-down
lab-down: need-root venv ## Remove the lab (root)
	@python -m tests.lab down

.PHONY: demo
demo: need-root deps venv ## Show on the lab which clients reach the services before and after apply (root)
	@demo/run

.PHONY: bench
bench: need-root deps venv ## Run the benchmarks (root)
	@bench/run

.PHONY: vm
vm: deps venv ## Test VLANs, IPVS and a reboot on a stock Debian kernel in qemu; ALL=1 adds network managers
	@tests/vm/run

.PHONY: molecule
molecule: deps venv ## Test the roles in systemd containers; ALL=1 or SCENARIO=node DEBIAN=13,11 choose (root)
	@molecule/run

##### Documentation and releases

.PHONY: docs
docs: venv ## Build the reference pages of modules and roles in .build/docs/html
	@python tools/build_docs.py .build/docs

.PHONY: role-specs
role-specs: venv ## Write the argument specs of the roles from tools/role_specs.yml and the documentation of pool_routing
	@python tools/role_specs.py

.PHONY: changelog
changelog: venv ## Update the changelog of the current version from fragments and modules
	@antsibull-changelog release --update-existing --reload-plugins --refresh

.PHONY: tarball
tarball: venv ## Build the collection's tarball in .build
	@ansible-galaxy collection build --force --output-path .build

##### Housekeeping

.PHONY: clean
clean: ## Remove everything that these targets created
	rm -rf $(VENV) .build .hypothesis .mypy_cache .pytest_cache .ruff_cache .ansible .cache tests/output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
