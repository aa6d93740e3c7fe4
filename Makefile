# Every target sets up .venv by itself, once; when nothing changed that costs no time.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.ready

.PHONY: setup demo test test-all test-long lab notebooks bench lint clean

setup: $(STAMP)

$(STAMP): requirements.txt requirements-dev.txt constraints.txt
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "Installing what the toolkit needs into $(VENV) (a few minutes the first time) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -r requirements.txt -r requirements-dev.txt
	@touch $@

demo: $(STAMP)
	@$(PY) -m toolkit demo

# test: what a change needs. test-all: also the long ones (every notebook in both languages and at full length). test-long:
# those alone.
test: TESTS := -m "not long"
test-long: TESTS := -m long
test test-all: lint
test test-all test-long: $(STAMP)
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exec $(PY) -m pytest $(TESTS); done; \
	echo "NOT TESTED: the notebooks in a browser, for there is no Chromium here (apt-get install chromium)."; \
	$(PY) -m pytest $(TESTS) --ignore=tests/browser

lab: $(STAMP)
	@$(PY) -m jupyterlab --ServerApp.tornado_settings="{'websocket_max_message_size': 1073741824}" index.ipynb

# From their sources, in both languages (notebooks/build.py says how).
notebooks: $(STAMP)
	@$(PY) notebooks/build.py

bench: $(STAMP)
	@$(PY) -m toolkit bench

lint: $(STAMP)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

clean:
	rm -rf $(VENV) runs results
