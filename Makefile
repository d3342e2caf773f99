# Two commands do everything: `make demo` runs the main job on real text, `make test` passes the tests.
# Each sets up what it needs first, in .venv; nothing is installed anywhere else.

ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
PYTHON ?= python3
VENV := $(ROOT)/.venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO ?= $(ROOT)/demo
TORCH := 2.13.0
WORKERS ?= 2
# What was installed is compiled by all cores, and not while tests run, which make an error of a warning about its code.
# Some packages carry files that are no Python.
COMPILE := -m compileall -qq -j 0 -x '/tests?/'
WEB := $(ROOT)/web
PAGES := $(ROOT)/src/unweave/server/pages/index.html

.PHONY: demo test check lint check-web web pages docs test-slow test-lowest faults mutation coverage soak screenshots lock dist sbom clean

demo: $(READY)
	$(BIN)/unweave demo "$(DEMO)"

# What needs the network waits for it, so the environment and the pages are made at once.
test:
	$(MAKE) --no-print-directory -j 2 "$(READY)" pages
	$(MAKE) --no-print-directory check

# A process of tests computes with one thread, since there are as many as processors.
# The browser's tests run after all others, each worker with a browser and a server of its own.
# Each worker goes through neighbours, which share what is made for them, until it takes some of another's.
check:
	$(MAKE) --no-print-directory -j 2 lint check-web
	cd "$(ROOT)" && OMP_NUM_THREADS=1 $(BIN)/pytest -q -n $(WORKERS) --dist worksteal --ignore=tests/explorer && \
	  $(BIN)/pytest -q -n $(WORKERS) --dist loadfile tests/explorer

lint:
	cd "$(ROOT)" && $(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

# The pages of the explorer, which need Node to be built and nothing to be shown. Where there is no Node that is new
# enough, what tests them is skipped and says so.
HAS_NODE = node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'
pages:
	if $(HAS_NODE) 2>/dev/null; then $(MAKE) web; else echo "no Node 20.19 or newer: the pages are not built"; fi

web: $(PAGES)

$(PAGES): $(WEB)/node_modules/.package-lock.json $(WEB)/index.html $(WEB)/vite.config.ts $(shell find "$(WEB)/src" -type f)
	cd "$(WEB)" && npm run --silent build

$(WEB)/node_modules/.package-lock.json: $(WEB)/package-lock.json
	cd "$(WEB)" && npm ci --silent && touch node_modules/.package-lock.json

check-web:
	if $(HAS_NODE) 2>/dev/null && test -d "$(WEB)/node_modules"; then cd "$(WEB)" && npm run --silent check; fi

# The documentation as static files in site/, which open from disk; a warning or a link that leads nowhere is an error.
docs: $(READY)
	cd "$(ROOT)" && $(BIN)/python docs/site/build.py

# Minutes of work: the whole demo corpus, SciFact (with UNWEAVE_DATA=folder), the dense baseline computed directly, every
# command in Python's strictest mode, some faults of each kind.
test-slow: $(READY)
	cd "$(ROOT)" && $(BIN)/pytest -q -m slow

# The oldest packages that pyproject.toml allows, in an environment of their own, with what stands on them tested.
# PyTorch is the one exception: older CPU builds than this for Linux are not to be had from the index.
LOWEST := $(ROOT)/.venv-lowest
test-lowest:
	$(PYTHON) -m venv "$(LOWEST)"
	$(LOWEST)/bin/pip install -q --disable-pip-version-check --no-deps --no-compile --require-hashes \
	  -r "$(ROOT)/requirements/torch-cpu.txt" -r "$(ROOT)/requirements/lowest.txt"
	$(LOWEST)/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e "$(ROOT)"
	$(LOWEST)/bin/python $(COMPILE) "$(LOWEST)/lib" || true
	cd "$(ROOT)" && OMP_NUM_THREADS=1 $(LOWEST)/bin/pytest -q $(shell cat "$(ROOT)/requirements/lowest-tests.txt")

# An hour of faults: kills, full disks, power cuts, commands at once, flipped bits, links, strangers' projects.
# It needs Linux and a C compiler.
faults: $(READY)
	cd "$(ROOT)" && $(BIN)/python benchmarks/faults.py

# Which lines and branches the tests run, by room: half an hour of both cores.
coverage: $(READY)
	cd "$(ROOT)" && $(BIN)/python benchmarks/covered.py

# An hour of serving, writing and reading at once.
soak: $(READY)
	cd "$(ROOT)" && $(BIN)/python benchmarks/soak.py

# Whether the tests notice small faults in the formulas.
mutation: $(READY)
	cd "$(ROOT)" && $(BIN)/python benchmarks/mutation.py

# Every package is pinned with its hashes; pip refuses a file that is not among them. PyTorch's CPU build is taken
# where pip can find it, and first, since a file without a listed hash comes last among several; its build for CUDA,
# which PyPI has for Linux, needs the packages of cuda.txt. What is installed is compiled at the end by all cores; pip
# would take one for it, which is half of its time.
PIP := $(BIN)/pip install -q --disable-pip-version-check --no-deps --no-compile
$(READY): $(wildcard $(ROOT)/requirements/*.txt) $(ROOT)/pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "unweave needs Python 3.11 or newer; set PYTHON=")'
	test -x "$(BIN)/python" || $(PYTHON) -m venv "$(VENV)"
	! $(BIN)/pip install --dry-run --no-deps torch==$(TORCH) 2>&1 | grep -q '+cpu' || \
	  $(PIP) --require-hashes -r "$(ROOT)/requirements/torch-cpu.txt"
	$(PIP) --require-hashes -r "$(ROOT)/requirements/lock.txt" -r "$(ROOT)/requirements/data.txt"
	$(BIN)/pip list --format=freeze | grep -q '^torch==.*+cpu' || $(PIP) --require-hashes -r "$(ROOT)/requirements/cuda.txt"
	$(PIP) --no-build-isolation -e "$(ROOT)"
	$(BIN)/python $(COMPILE) "$(VENV)/lib" || true
	touch "$(READY)"

# Renew the pins, with uv; those of torch-cpu.txt, PyTorch's own CPU build for Linux, by hand.
CUDA := ^(cuda|nvidia|triton)
lock:
	cd "$(ROOT)/requirements" && cat lock.txt cuda.txt > all.txt  # what is pinned stays, unless it no longer fits
	cd "$(ROOT)" && echo "torch==$(TORCH)" | uv pip compile pyproject.toml --extra demo --extra dev --extra docs --universal \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 -q -c - -o requirements/all.txt
	cd "$(ROOT)/requirements" && awk '/^[a-z]/ {cuda = ($$0 ~ /$(CUDA)/)} {print > (cuda ? "cuda.txt" : "lock.txt")}' all.txt
	rm "$(ROOT)/requirements/all.txt"
	cd "$(ROOT)" && echo "torch==$(TORCH)" | uv pip compile pyproject.toml requirements/lowest.in --extra all -c - \
	  --resolution lowest-direct --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 -q | \
	  awk '/^[a-z]/ {left_out = ($$0 ~ /$(CUDA)|^torch==/)} !left_out' > requirements/lowest.txt

# Wheel and source distribution, the same bytes each time of one commit, with the pages in them.
dist: $(READY) web
	cd "$(ROOT)" && SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m hatchling build

# Lists of parts, in CycloneDX: of the JavaScript that the wheel carries, which travels in it, and of the packages that a
# bare installation stands on.
CYCLONEDX := cyclonedx-bom==7.5.0
SBOM := $(ROOT)/dist/.sbom
sbom: dist
	cd "$(WEB)" && npm sbom --sbom-format=cyclonedx --package-lock-only | $(BIN)/python "$(ROOT)/release/parts.py"
	$(PYTHON) -m venv "$(SBOM)/tool" && "$(SBOM)/tool/bin/pip" install -q $(CYCLONEDX)
	$(PYTHON) -m venv --clear "$(SBOM)/alone" && "$(SBOM)/alone/bin/pip" install -q "$(ROOT)"/dist/*.whl
	"$(SBOM)/tool/bin/cyclonedx-py" environment "$(SBOM)/alone" --pyproject "$(ROOT)/pyproject.toml" \
	  --output-reproducible --of JSON -o "$(ROOT)/dist/unweave.cdx.json"

clean:
	rm -rf "$(VENV)" "$(LOWEST)" "$(ROOT)/dist" "$(ROOT)/demo" "$(ROOT)/site" "$(WEB)/node_modules" "$(ROOT)/src/unweave/server/pages"
