# Two commands do everything: make book, make test. Each sets up .venv by itself, once.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/ready
# Where UV_TORCH_BACKEND is set, uv installs, and takes that build of PyTorch: cpu is a tenth of
# the download.
INSTALL := $(if $(UV_TORCH_BACKEND),uv pip install --python $(PY),$(PY) -m pip install --disable-pip-version-check)
BOOK := _build/html/index.html

.PHONY: address audit candidate check fresh matrix book rules test test-all then times notebooks bench bench-trace bench-peers lighthouse serve pdf zip lab constraints clean help

help:
	@echo "make book       build the course into $(dir $(BOOK))"
	@echo "make test       lint, type check, and test the package, the notebooks and the book"
	@echo "make check      lint, type check, and the tests of the package that run no whole script: in about a minute"
	@echo "make test-all   every test, also those that take longest"
	@echo "make times      as make test, and write what is guaranteed where into tests/README.md"
	@echo "make rules      write the page of the diagnosis's rules anew"
	@echo "make notebooks  execute every chapter in place"
	@echo "make then       run the post of 2020 as it was, by Python 3.7 and PyTorch 1.5.1, and write the page about it"
	@echo "make bench      time our optimizers beside torch's and write the table"
	@echo "make bench-trace  time a watched step beside a bare one and write the table"
	@echo "make bench-peers  let companion and other packages look for the mistakes in the same loops, and write the table"
	@echo "make lighthouse  let Lighthouse judge every page and write the table; wants Node and Chromium"
	@echo "make serve      build the course and serve it on http://localhost:8000"
	@echo "make pdf        print the course as one PDF into dist/; wants Chromium"
	@echo "make zip        pack the built course into dist/, to open from a disk"
	@echo "make lab        open the course in JupyterLab"
	@echo "make matrix     test the wheel on every Python and PyTorch that it allows"
	@echo "make candidate  build all that a release would publish into dist/"
	@echo "make audit      look up known weaknesses of what is pinned for this platform; asks the package index"
	@echo "make address    say where the repository is (URL=https://HOST/OWNER/NAME, SITE=https://...)"
	@echo "make clean      remove everything that was built, the environment too"

book: $(READY)
	@echo "Building the course ..."
	@$(VENV)/bin/jupyter-book build book --config _config.yml --path-output . -W -n --keep-going -q
	@echo "Done. Open $(CURDIR)/$(BOOK)"

# Each worker runs a group of tests at a time (conftest.py), and the types are checked beside them.
# Three of them on two cores: who looks at a page or starts a process, waits for it.
PYTEST := $(PY) -m pytest -n 3

test: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy & types=$$! ; $(PYTEST) $(ARGS) ; tests=$$? ; wait $$types && exit $$tests

# With the tests that are marked weekly, and those of libraries that run a loop for their users.
# Those are installed beside the tests' own environment, whose torch they use.
FRAMEWORKS := .frameworks
test-all: $(READY) $(FRAMEWORKS)/ready
	FRAMEWORKS_PY=$(CURDIR)/$(FRAMEWORKS)/bin/python $(PYTEST) -m "" $(ARGS)

$(FRAMEWORKS)/ready: tests/package/frameworks/requirements.txt constraints.txt | $(READY)
	@rm -rf $(FRAMEWORKS)
	@$(PY) -m venv $(FRAMEWORKS)
	@$(PY) -c "import sysconfig; print(sysconfig.get_path('purelib'))" > "$$($(FRAMEWORKS)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/tests.pth"
	@$(FRAMEWORKS)/bin/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --requirement tests/package/frameworks/requirements.txt
	@touch $@

# The same, and tests/README.md is written anew.
times:
	@$(MAKE) --no-print-directory test ARGS=--times

# Before a commit: what answers within a minute. Tests that run whole scripts are left out.
SCRIPTS := $(addprefix --ignore=tests/package/,command isolation tracing/test_distributed.py tracing/test_where_readers_use_it.py)
check: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy & types=$$! ; $(PYTEST) -q tests/package $(SCRIPTS) ; tests=$$? ; wait $$types && exit $$tests

# The page of the rules, from the loops that `companion explain` runs.
rules: $(READY)
	@$(PY) tools/rules.py

notebooks: $(READY)
	@$(PY) tools/execute.py
	@$(PY) tools/picture.py

bench: $(READY)
	@$(PY) benchmarks/optim.py

# Wants a Python 3.7, and the package index once; THEN_PYTHON=.../python3.7 names one.
then: $(READY)
	@$(PY) tools/then/make.py --python "$(THEN_PYTHON)"
	@$(PY) tools/execute.py book/then_and_now.ipynb

# With wandb and lightning, where an environment that has them is named: BENCH_PY=.../python.
BENCH_PY ?= $(PY)
bench-trace: $(READY)
	@$(BENCH_PY) benchmarks/trace.py

# With the packages beside which companion stands, where an environment that has them, and torch,
# is named: PEERS_PY=.../python. LOOPS= names a folder of more scripts.
PEERS_PY ?= $(PY)
bench-peers: $(READY)
	@PYTHONPATH=$(CURDIR) $(PEERS_PY) benchmarks/peers.py $(if $(LOOPS),--loops $(LOOPS))

# Needs nothing but Python: a workflow sets the address before anything is installed.
address:
	@$(PYTHON) tools/set_address.py --url "$$URL" --branch "$$BRANCH" --site "$$SITE"

lighthouse: book
	@$(PY) benchmarks/lighthouse.py

# From nothing, for what is given away: a build leaves what an older one made, such as the page of a
# chapter that is gone.
fresh:
	@rm -rf _build/html _build/.doctrees
	@$(MAKE) --no-print-directory book

pdf: fresh
	@$(PY) tools/paper/pdf.py

zip: fresh
	@$(PY) tools/site_zip.py

serve: book
	@echo "Serving on http://localhost:8000 (Ctrl-C stops it)"
	@$(PY) -m http.server 8000 --bind localhost --directory $(dir $(BOOK))

lab: $(READY)
	@$(VENV)/bin/jupyter lab book

# The stamp is written last: an environment without it was left half-made, and is made anew. One
# that has it was whole once: it is updated, and where that fails it stays and is tried again.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 10) or sys.exit("Python 3.10 or newer is needed; this is %d.%d. Try: make PYTHON=python3.12 ..." % v[:2])'
	@test -e $(READY) || rm -rf $(VENV)
	@test -e $(READY) && echo "Updating $(VENV) ..." || echo "Setting up $(VENV), once. PyTorch is large: this takes a minute or several."
	@$(PY) -c '' 2> /dev/null || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) --constraint constraints.txt --editable '.[test]'
	@touch $(READY)
	@echo "$(VENV) is ready."

# All Pythons and PyTorches that the metadata allow, each in an environment of its own.
matrix: $(READY)
	@$(PY) -m pip install --disable-pip-version-check --quiet uv
	@$(PY) tools/matrix.py

# What a release would publish, in dist/: the same commands as in .github/workflows/release.yml.
candidate: $(READY)
	@rm -f dist/*.whl dist/*.tar.gz
	@$(PY) -m build --outdir dist .
	@$(PY) -m twine check --strict dist/*.whl dist/*.tar.gz
	@$(MAKE) --no-print-directory pdf zip
	@ls -l dist

# What the constraints resolve around stands in pyproject.toml under [tool.uv]. Packages that
# torch itself pins, and that exist for one platform only, are left out.
constraints: $(READY)
	@$(PY) -m pip install --disable-pip-version-check --quiet uv
	@echo "# What the committed outputs and CI were made with; written by 'make constraints'." > constraints.txt
	@$(PY) -m uv pip compile --quiet --universal --python-version 3.10 --all-extras --no-header --no-annotate pyproject.toml | grep -vE '^(nvidia-|cuda-|triton)' >> constraints.txt

# Strict: a package that the index says nothing about was not audited, and must not count as sound.
audit: $(READY)
	@$(PY) -m pip install --disable-pip-version-check --quiet --constraint constraints.txt pip-audit
	@$(PY) -m pip_audit --strict --no-deps --disable-pip --requirement constraints.txt

clean:
	rm -rf $(VENV) $(FRAMEWORKS) .then _build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
