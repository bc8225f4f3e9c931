# `make lab` opens the workbook, `make test` tests it; both first set up .venv, with Python 3.11 or newer.
PIP = .venv/bin/python -m pip --disable-pip-version-check
TORCH = $(shell grep '^torch==' constraints.txt)
CPU_INDEX = https://download.pytorch.org/whl/cpu
# The alarm bounds what a time-out does not: name look-ups, and one wait for each address.
REACHABLE = import signal, urllib.request; signal.alarm(10); urllib.request.urlopen("$(CPU_INDEX)/torch/", timeout=8)

# 3.11 first, since constraints.txt was made with it.
PYTHONS = python3.11 python3.12 python3.13 python3.14 python3 python
RECENT = import sys; sys.exit(sys.version_info < (3, 11))
SEES = import sys, torch; sys.exit(not torch.cuda.is_available())
PYTHON ?= $(shell for p in $(PYTHONS); do $$p -c 'import venv, ensurepip; $(RECENT)' 2>/dev/null && echo $$p && break; done)

.PHONY: lab test test-all test-gpu attack driver env notebooks evidence docs bench stick lint

lab: .venv/lab.done
	.venv/bin/rnntips lab

test: lint
	.venv/bin/python -m pytest tests -q

test-all: lint .venv/ipykernel6.done
	.venv/bin/python -m pytest tests -q -m ""

# A .venv that was made before the driver has PyTorch for CPUs.
test-gpu: driver env
	@.venv/bin/python -c '$(SEES)' || { echo "PyTorch in .venv sees no GPU. Remove .venv, and try again."; exit 1; }
	.venv/bin/python -m pytest tests -q -m gpu

# Twenty minutes; with ATTACK='--minutes 2 --kind tables' fewer.
attack: env
	PYTHONPATH="$(CURDIR):$(CURDIR)/tests:$(CURDIR)/tests/tables:$(CURDIR)/tests/jobs" .venv/bin/python tests/attack $(ATTACK)

driver:
	@nvidia-smi >/dev/null 2>&1 || { echo "These tests need an NVIDIA GPU, and nvidia-smi finds none here."; exit 1; }

lint: env
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

env: .venv/test.done

notebooks: env
	.venv/bin/python tests/books.py refresh $(BOOK)

# What is stored is a CPU's. A GPU's records come to lie beside it, and are compared with it, claim by claim.
DEVICE ?= cpu
RECORDS ?= records-$(DEVICE)
TIP ?= all
evidence: env
ifeq ($(DEVICE),cpu)
	.venv/bin/python -m evidence make $(TIP)
else
	.venv/bin/python -m evidence run $(TIP) --retune --device $(DEVICE) --store $(RECORDS)/runs --records $(RECORDS)
	.venv/bin/python -m evidence agree $(RECORDS)
endif

docs: env
	.venv/bin/python -m tools.pages
	.venv/bin/python -m evidence findings --write

# JAX is a peer to measure against, and nothing else here needs it.
bench: .venv/lab.done
	$(PIP) install --quiet -c constraints.txt -e '.[bench]'
	.venv/bin/python -m benchmarks

# For rooms without a network. uv finds out what other systems than this one need; nothing else here needs it.
stick: .venv/lab.done
	$(PIP) install --quiet -c constraints.txt -e '.[stick]'
	.venv/bin/python -m tools.stick $(STICK)

# While .venv/half-made exists an install was cut short, and the next one starts afresh.
.venv/lab.done: pyproject.toml constraints.txt Makefile
	@if [ -e .venv/half-made ] || ! .venv/bin/python -c 'import pip; $(RECENT)' 2>/dev/null; then \
	  if [ -z "$(PYTHON)" ]; then \
	    for p in $(PYTHONS); do if $$p -c '$(RECENT)' 2>/dev/null; then \
	      echo "$$p has no venv module. On Debian or Ubuntu: sudo apt-get install $$p-venv"; exit 1; \
	    fi; done; \
	    echo "No Python 3.11 or newer found. Install one, or name it: make PYTHON=/path/to/python3"; exit 1; \
	  fi; \
	  rm -rf .venv && "$(PYTHON)" -m venv .venv || exit 1; \
	fi
	@touch .venv/half-made
	@if [ "$$(uname)" = Linux ] && ! nvidia-smi >/dev/null 2>&1 && \
	  ! { .venv/bin/python -c '$(REACHABLE)' 2>/dev/null && \
	      $(PIP) install --no-deps --retries 0 --timeout 10 --index-url $(CPU_INDEX) $(TORCH); } && \
	  $(PIP) install --dry-run --quiet --no-deps --report - $(TORCH) | grep -q '"nvidia-'; then \
	  echo "PyTorch's CPU index cannot be reached, and pip's own index has only the CUDA build: 2.7 GB to download."; \
	fi
	$(PIP) install -c constraints.txt -e .
	@echo "Compiling the engine, once." && .venv/bin/python -c 'import rnntips.engine.numba_ops'
	@rm .venv/half-made && touch $@

# Beside the pinned ipykernel 7, for kernels that search this folder first.
.venv/ipykernel6.done: .venv/test.done
	rm -rf .venv/ipykernel6
	$(PIP) install --no-deps --target .venv/ipykernel6 ipykernel==6.31.0 nest-asyncio==1.6.0
	@touch $@

.venv/test.done: .venv/lab.done
	@touch .venv/half-made
	$(PIP) install -c constraints.txt -e '.[test]'
	@rm .venv/half-made && touch $@
