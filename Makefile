# Set-up and checks. PYTHON, VENV and TORCH_INDEX may be given: make venv PYTHON=python3.12 TORCH_INDEX=https://...

SHELL := /bin/sh
VENV ?= .venv
TESTS ?= tests
BENCH ?= $(sort $(wildcard bench/[a-z]*.py))
TORCH_INDEX ?=
# The first interpreter that starts and is new enough.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

bin := $(VENV)/bin
torch := $(shell grep '^torch==' constraints.txt)
stamp := $(VENV)/installed.stamp
demo_text := Every choice this voice makes can be seen, changed and made again.

.PHONY: venv lab demo test lint types contracts unit bench sessions docs

venv: $(stamp)

# torch comes first and from its own index, so that nothing after it chooses another build.
$(stamp): pyproject.toml constraints.txt tools/torchaudio_standin.py
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with: make venv PYTHON=..." >&2; exit 1; }
	test -x $(bin)/python || $(PYTHON) -m venv $(VENV)
	$(bin)/python -m pip install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(torch)
	$(bin)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	$(bin)/python tools/torchaudio_standin.py
	@touch $@

lab: venv
	@if [ -t 0 ] && [ -t 1 ]; then $(bin)/valle-lab; \
	else echo "no terminal here, so the lab cannot open; making the demo instead" && $(MAKE) --no-print-directory demo; fi

demo: venv
	$(bin)/valle-lab say "$(demo_text)" --out out/demo.wav
	$(bin)/valle-lab replay out/demo.json

test: lint types contracts unit

lint: venv
	$(bin)/ruff check .
	$(bin)/ruff format --check .

types: venv
	$(bin)/mypy

contracts: venv
	$(bin)/lint-imports

unit: venv
	OMP_NUM_THREADS=1 HYPOTHESIS_PROFILE=ci $(bin)/python -m pytest -q -n 2 --dist worksteal $(TESTS)

bench: venv
	@for script in $(BENCH); do echo "== $$script"; $(bin)/python $$script || exit 1; done

sessions: venv
	$(bin)/python sessions/make.py

docs: venv
	$(bin)/python tools/samplers_page.py docs/samplers.md
	$(bin)/python tools/commands_page.py docs/commands.md
