# Each target builds the environment that it needs; `make clean` removes them all.
PYTHON ?= python3
# The threads of one process would wait for those of the other.
PYTEST = PYTHONSAFEPATH=1 OMP_NUM_THREADS=1 $(1)/bin/pytest -q -n 2
# torch-xla has wheels for Linux only; elsewhere the newest torch does.
ON_LINUX := $(filter Linux,$(shell uname -s))
TORCH := $(if $(ON_LINUX),'torch==2.9.*' 'torch-xla==2.9.*','torch>=2.4')
# Tests that need an environment of their own.
ELSEWHERE := --ignore=tests/cerebras --ignore=tests/clients --ignore=tests/docs
BACK_END := $(if $(ON_LINUX),xla,compile)
SITE := .venv-latest/bin/python -m sphinx -q -n --keep-going -d build/doctrees docs build/docs

# A folder with the package as it is installed, kernels and all.
define LINK
rm -rf $(1) && mkdir -p $(1)/accelsched
ln -s $(CURDIR)/accelsched/* $(CURDIR)/kernels $(1)/accelsched
endef
# Benchmarks have no annotations and no test: that they call the package as it is, mypy sees.
CALLS := --check-untyped-defs --ignore-missing-imports \
	--disable-error-code arg-type --disable-error-code var-annotated \
	--disable-error-code call-overload --disable-error-code func-returns-value
# Where `make bench-cuda` writes.
OUT ?= benchmarks/report

.PHONY: demo test check test-latest test-cerebras test-clients test-cuda docs docs-serve soak bench bench-cuda clean
.DEFAULT_GOAL := test

demo: .venv/installed
	.venv/bin/accelsched demo

test: .venv/installed check
	$(call PYTEST,.venv) tests/runtimes/test_runtimes.py tests/runtimes/test_metrics.py tests/schedules/test_parity.py \
		tests/families/test_policy.py tests/cli/test_demo.py tests/families/test_weight_decay_scheduler.py tests/costs --back-ends lazy
	$(call PYTEST,.venv) tests $(ELSEWHERE) --back-ends eager,compile,$(BACK_END)

check: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	$(call LINK,build/typing)
	.venv/bin/mypy
	MYPYPATH=build/typing:benchmarks .venv/bin/mypy --config-file= $(CALLS) benchmarks/*.py
	cd build/typing && $(CURDIR)/.venv/bin/lint-imports --no-logo --no-cache $(CURDIR)/pyproject.toml
	git diff --check $$(git hash-object -t tree /dev/null) -- ':!*.svg'

test-latest: .venv-latest/installed
	$(call PYTEST,.venv-latest) tests $(ELSEWHERE) --ignore=tests/package/test_docs.py

test-cerebras: .venv-cerebras/installed
	$(call PYTEST,.venv-cerebras) tests/costs --back-ends lazy
	$(call PYTEST,.venv-cerebras) tests --ignore=tests/package/test_readme.py --ignore=tests/package/test_docs.py \
		--ignore=tests/clients --ignore=tests/docs --back-ends eager,compile

test-clients: .venv-clients/installed
	$(call PYTEST,.venv-clients) tests/clients

# From nothing, as what was built before has no warnings any more.
docs: .venv-latest/installed
	rm -rf build/docs build/doctrees
	$(SITE) -W
	$(call PYTEST,.venv-latest) tests/docs tests/package/test_docs.py

# The site at http://localhost:8000, built once.
docs-serve: .venv-latest/installed
	$(SITE)
	.venv-latest/bin/python -m http.server --bind localhost --directory build/docs 8000

# Hours: a thousand kills a mode, ten million steps, twenty thousand schedulers.
soak: .venv/installed
	$(call PYTEST,.venv) -s tests/runtimes/soak.py

# cerebras_pytorch is one of the peers.
bench: .venv/installed .venv-cerebras/installed
	.venv/bin/python benchmarks/report.py

# On a machine with a GPU: its own Python has the torch for it, and nothing is installed.
test-cuda:
	$(call LINK,build/cuda)
	PYTHONPATH=$(CURDIR)/build/cuda PYTHONSAFEPATH=1 $(PYTHON) -m pytest -q -p no:cacheprovider \
		tests/runtimes/test_cuda.py tests/runtimes/test_captured.py tests/runtimes/test_one_kernel.py \
		tests/binding/test_capture.py tests/package/test_cuda_page.py

bench-cuda:
	$(call LINK,build/cuda)
	PYTHONPATH=$(CURDIR)/build/cuda $(PYTHON) benchmarks/cuda.py $(OUT)

# torch is named in full, or pip takes the newest there is, with CUDA.
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet $(TORCH)
	.venv/bin/pip install --quiet --editable '.[dev]'
	touch $@

# The newest Python that starts here, and the newest torch that pip has for it.
.venv-latest/installed: pyproject.toml
	$$(.ci/python) -m venv .venv-latest
	.venv-latest/bin/pip install --quiet --upgrade torch --editable '.[test,docs]'
	touch $@

# The oldest that the package claims: cerebras_pytorch 2.10 asks for Python 3.11 and torch 2.4.
.venv-cerebras/installed: pyproject.toml
	$$(.ci/python 3.11) -m venv .venv-cerebras
	.venv-cerebras/bin/pip install --quiet 'cerebras-pytorch==2.10.0'
	.venv-cerebras/bin/pip install --quiet --editable '.[test]' 'numpy==1.25.0'
	touch $@

# torch without torch_xla: accelerate and transformers take XLA where they can import it.
.venv-clients/installed: pyproject.toml tests/clients/requirements.txt
	$$(.ci/python) -m venv .venv-clients
	.venv-clients/bin/pip install --quiet --upgrade torch --requirement tests/clients/requirements.txt --editable '.[test]'
	touch $@

clean:
	rm -rf .venv .venv-latest .venv-cerebras .venv-clients build dist *.egg-info
