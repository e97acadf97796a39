# Each verb does its own set-up: a fresh machine needs Python 3.11+ and make, nothing else.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
READY := .venv/ready

export PATH := $(BIN):$(PATH)
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20
export FEED ?= sim
export ONCE ?=
JSON ?=
LOAD ?=
STAGE ?= dev
ALARM_EMAIL ?=
# As cdk/settings.py names a stage's stack.
STACK_NAME ?= PredictBitcoin$(if $(filter-out dev local,$(STAGE)),-$(STAGE))
SCHEDULES ?= 1000
SEED ?= 1
STACK ?= 20
PYTEST := pytest -n auto --dist loadgroup

.PHONY: help
help:  ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.13 …")'
	@echo "setting up .venv …" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -m1 -oE '^uv==[0-9.]+' requirements.lock)"
	@uv pip sync --quiet --python $(BIN)/python requirements.lock
	@uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

.PHONY: lock
lock: $(READY)  ## resolve the dependencies anew, into requirements.lock and the other locks
	uv pip compile pyproject.toml --output-file requirements.lock --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --all-extras --group cdk --group local --group sagemaker --group tracking --group dev
	uv pip compile functions/ingest_trades/requirements.in --constraint requirements.lock --output-file functions/ingest_trades/requirements.lock \
	  --quiet --universal --python-version 3.13 --generate-hashes --no-header --no-annotate
	for tool in tests/bench/rivals/*.in tests/rehearsal/*.in tests/tools/*.in; do uv pip compile $$tool --output-file $${tool%.in}.lock --quiet --universal \
	  --python-version 3.11 --generate-hashes --no-header --no-annotate; done

.PHONY: dashboard
dashboard: $(READY)  ## build the page
	@python dashboard/build.py >&2

.PHONY: layers
layers: $(READY) dashboard  ## build the Lambda layers, the training bundle and the page (no Docker)
	@python layers/build.py >&2

.PHONY: local
local: layers  ## the whole system on this machine; FEED=kraken for the real exchange, ONCE=1 until the first forecast
	@python -m local

.PHONY: test
test: layers  ## all tests but the browser's
	$(PYTEST) --ignore tests/browser

.PHONY: browser
browser: layers  ## the page in Chromium, against the local stack; pictures into build/screenshots
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -qq --no-install-recommends chromium; } >&2 \
	  || echo "Chromium could not be installed: what needs it is skipped" >&2
	pytest -n0 tests/browser

.PHONY: lint
lint: $(READY)  ## ruff, import rules, Dockerfile
	ruff check .
	ruff format --check .
	lint-imports
	hadolint functions/ingest_trades/Dockerfile

.PHONY: types
types: $(READY)  ## mypy --strict, and tsc for the page
	mypy
	python dashboard/build.py --check

.PHONY: synth
synth: layers  ## the CloudFormation template, into build/cdk.out
	python -m cdk synth --quiet
	cfn-lint 'build/cdk.out/*.template.json'
	for template in build/cdk.out/*.template.json; do \
	  python -m tests.virtualenvs tests/tools/checkov.lock checkov --config-file .checkov.yaml --file $$template; done
	python -m tests.sam validate

.PHONY: bootstrap
bootstrap: layers  ## cdk bootstrap, with images scanned when they are pushed (needs AWS credentials)
	python -m cdk.bootstrap

.PHONY: deploy
deploy: layers  ## cdk deploy (needs AWS credentials and Docker); STAGE=prod for production, ALARM_EMAIL=… to be told
	python -m cdk deploy -c stage=$(STAGE) $(if $(ALARM_EMAIL),-c alarm_email=$(ALARM_EMAIL))

.PHONY: destroy
destroy: layers  ## cdk destroy (needs AWS credentials); STAGE=prod for production, whose data stays
	python -m cdk destroy -c stage=$(STAGE)

.PHONY: cost
cost: layers  ## the monthly bill of the template; JSON=1 for a machine, LOAD="--symbols 10 --trades-per-s 5"
	@python -m cdk.costs $(if $(JSON),--json) $(LOAD)

.PHONY: key keys revoke
key: $(READY)  ## a new API key's value: NAME=…, STAGE=prod for production's
	@python -m btc.aws.keys --stack $(STACK_NAME) make "$(NAME)"
keys: $(READY)  ## the API keys there are, of STAGE
	@python -m btc.aws.keys --stack $(STACK_NAME) list
revoke: $(READY)  ## end an API key: ID=…, of STAGE
	@python -m btc.aws.keys --stack $(STACK_NAME) revoke "$(ID)"

.PHONY: bench
bench: layers  ## measure; a table, and build/bench.json
	python -m tests.bench

.PHONY: faults
faults: layers  ## inject faults: SCHEDULES (1000) seeded schedules from SEED on, STACK (20) on the local stack
	@SCHEDULES=$(SCHEDULES) SEED=$(SEED) STACK=$(STACK) python -m tests.faults

.PHONY: sam-invoke
sam-invoke: synth  ## FUNCTION in Lambda's container with its event of tests/events, or EVENT (needs Docker or Finch)
	@python -m tests.sam invoke $(FUNCTION) $(EVENT)

.PHONY: sam-api
sam-api: synth  ## the REST API in Lambda's containers (needs Docker or Finch)
	@python -m tests.sam api

.PHONY: rehearse
rehearse: layers  ## bootstrap, deploy, a trade's round trip, update, the way back and destroy on an emulator
	@python -m tests.rehearsal

.PHONY: image
image: $(READY)  ## the ingest image, built by buildah from Debian's packages and run with a read-only root (needs root)
	@python -m tests.image

.PHONY: check
check: lint types synth rehearse faults test  ## what CI runs, and more schedules
