# Each target builds the environment that it needs; `make clean` removes them all.
PYTHON ?= python3
# The threads of one process would wait for those of the other.
PYTEST = PYTHONSAFEPATH=1 OMP_NUM_THREADS=1 $(1)/bin/pytest -q -n 2
# torch-xla has wheels for Linux only; elsewhere the newest torch does.
ON_LINUX := $(filter Linux,$(shell uname -s))
TORCH := $(if $(ON_LINUX),'torch==2.9.*' 'torch-xla==2.9.*','torch>=2.4')
BACK_END := $(if $(ON_LINUX),xla,compile)

.PHONY: demo test check test-latest test-cerebras soak bench clean
.DEFAULT_GOAL := test

demo: .venv/installed
	.venv/bin/accelsched demo

test: .venv/installed check
	$(call PYTEST,.venv) tests/runtimes/test_runtimes.py tests/runtimes/test_metrics.py tests/schedules/test_parity.py \
		tests/families/test_policy.py tests/cli/test_demo.py tests/families/test_weight_decay_scheduler.py tests/costs --back-ends lazy
	$(call PYTEST,.venv) tests --ignore=tests/cerebras --back-ends eager,compile,$(BACK_END)

check: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	rm -rf build/typing && mkdir -p build/typing/accelsched
	ln -s $(CURDIR)/accelsched/* $(CURDIR)/kernels build/typing/accelsched
	.venv/bin/mypy
	cd build/typing && $(CURDIR)/.venv/bin/lint-imports --no-logo --no-cache $(CURDIR)/pyproject.toml
	git diff --check $$(git hash-object -t tree /dev/null) -- ':!*.svg'

test-latest: .venv-latest/installed
	$(call PYTEST,.venv-latest) tests --ignore=tests/cerebras

test-cerebras: .venv-cerebras/installed
	$(call PYTEST,.venv-cerebras) tests/costs --back-ends lazy
	$(call PYTEST,.venv-cerebras) tests --ignore=tests/package/test_readme.py --back-ends eager,compile

# Hours: a thousand kills a mode, ten million steps, twenty thousand schedulers.
soak: .venv/installed
	$(call PYTEST,.venv) -s tests/runtimes/soak.py

# cerebras_pytorch is one of the peers.
bench: .venv/installed .venv-cerebras/installed
	.venv/bin/python benchmarks/report.py

# torch is named in full, or pip takes the newest there is, with CUDA.
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet $(TORCH)
	.venv/bin/pip install --quiet --editable '.[dev]'
	touch $@

# The newest Python that starts here, and the newest torch that pip has for it.
.venv-latest/installed: pyproject.toml
	$$(.ci/python) -m venv .venv-latest
	.venv-latest/bin/pip install --quiet --upgrade torch --editable '.[test]'
	touch $@

# The oldest that the package claims: cerebras_pytorch 2.10 asks for Python 3.11 and torch 2.4.
.venv-cerebras/installed: pyproject.toml
	$$(.ci/python 3.11) -m venv .venv-cerebras
	.venv-cerebras/bin/pip install --quiet 'cerebras-pytorch==2.10.0'
	.venv-cerebras/bin/pip install --quiet --editable '.[test]' 'numpy==1.25.0'
	touch $@

clean:
	rm -rf .venv .venv-latest .venv-cerebras build dist *.egg-info
