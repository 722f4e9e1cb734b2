# make book    the book, from nothing: environment, sections, pages
# make slides  the lecture's slides, and the book with a link to them; they need no network
# make pdf     the book as one PDF, by Chromium
# make test    the tests, in some minutes
# make style   ruff: what is wrong, and what is not formatted
# make thorough   the few that take too long for every day
# make clean   forget pages and executed sections; kept runs and the environment stay
#
# Another Python:         make book PYTHON=/path/to/python3.12
# Pages despite warnings: make book WARNINGS=

VENV     ?= .venv
WARNINGS ?= -W --keep-going
PYTHON   ?= $(shell for p in python3.12 python3.11 python3.13 python3 python; do \
              if "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; \
              then echo "$$p"; break; fi; done)
CHROMIUM ?= $(shell command -v chromium chromium-browser google-chrome | head -1)
BIN      := $(VENV)/bin
LOCKED   := constraints.txt pyproject.toml
SLIDES   := book/_build/html/slides/index.html

# Where this is set, as in many containers, every process compiles TensorFlow anew: 10 s of CPU in place of 4.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: book slides pdf test thorough style clean distclean
.DELETE_ON_ERROR:

# Sphinx warns about a page only when it reads it: after a failure, the next build reads all of them again.
book: $(VENV)/.book
	@$(BIN)/jupyter-book build book $(WARNINGS) || { rm -rf book/_build/.doctrees; exit 1; }
	@echo "The book: $(CURDIR)/book/_build/html/index.html"

# The slides come first, since a page of the book links to them where they are.
slides: $(SLIDES)
	@$(MAKE) --no-print-directory book
	@echo "The slides: $(CURDIR)/$(SLIDES)"

$(SLIDES): $(VENV)/.book $(shell find acrlls results book/slides book/exercises -type f ! -name '*.pyc')
	@$(BIN)/sphinx-build -q -E $(WARNINGS) -b revealjs -d book/_build/.slides book/slides $(@D)

# One page of all pages, printed by Chromium; equations need a moment before they are there.
pdf: book
	@$(BIN)/jupyter-book build book --builder singlehtml $(WARNINGS) >/dev/null
	@$(CHROMIUM) --headless --no-sandbox --disable-gpu --virtual-time-budget=120000 --no-pdf-header-footer \
	  --print-to-pdf=book/_build/acrlls.pdf "file://$(CURDIR)/book/_build/singlehtml/index.html" 2>/dev/null
	@echo "The book as PDF: $(CURDIR)/book/_build/acrlls.pdf"

test: $(VENV)/.test
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The built book is looked at as well.
thorough: $(VENV)/.test book
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m thorough -rs

style: $(VENV)/.test
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

clean:
	rm -rf book/_build book/sections

distclean: clean
	rm -rf $(VENV)

# An environment is made once and filled again only when what is pinned changes.
$(VENV)/.book: requirements.txt $(LOCKED) | $(BIN)/python
	@echo "Installing the requirements (once, a minute or so) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.txt
	@touch $@

$(VENV)/.test: requirements-test.txt requirements-fast.txt $(VENV)/.book
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements-test.txt
	@touch $@

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
	  echo "Python 3.11, 3.12 or 3.13 is needed and none is on the PATH;" >&2; \
	  echo "name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
	  exit 1; fi
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
