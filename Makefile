# Everything runs in .venv; `make demo` and `make test` are all that a newcomer needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WHEELHOUSE ?= wheelhouse
# A plain "torch" is gigabytes of CUDA where no index of CPU builds is known. Named beside what needs it, or torchvision (of nnunetv2) brings a newer one.
TORCH := torch==2.13.0

.PHONY: demo test test-fast lint types layers bench mutants fuzz format model wheelhouse supply clean

demo: $(VENV)/.installed
	$(BIN)/rtqc demo --out demo --force

# Files of tests side by side, one a core. A number of processes: make test JOBS=1; one after the other in this process: JOBS=0.
JOBS ?= auto
test: $(VENV)/.installed-test lint types layers
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations=10

# What is heard of in minutes: everything but whole nights, nodes, trainings and installations.
test-fast: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations=10 -m "not slow"

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

layers: $(VENV)/.installed-test
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.installed-test
	$(BIN)/python -m tests.bench

# Wrong changes, one at a time, that the tests of their room must notice (docs/tests.md): ROOMS="geometry dosimetry", BUDGET in seconds a room, MUTANTS="--known".
BUDGET ?= 240
mutants: $(VENV)/.installed-test
	$(BIN)/python -m tests.mutants $(ROOMS) --budget $(BUDGET) $(MUTANTS)
# Damaged files for as long as is asked for: make fuzz MINUTES=60 SEED=7. What it finds goes into tests/fuzz/seeds.txt.
MINUTES ?= 10
SEED ?= $(shell date +%s)
fuzz: $(VENV)/.installed-test
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) --seed $(SEED)

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The model before the default once more, from ../shared/data and synthetic patients: an hour and a half on two cores; with RESUME=--resume it goes on.
model: $(VENV)/.installed-test
	$(BIN)/rtqc train ../shared/data/heart-ct --settings rtqc/training/recipes/heart-v1.toml --out build/heart-v1 $(RESUME) \
	  --licence "Apache-2.0; training data CC BY 3.0" \
	  --attribution "LIDC-IDRI, The Cancer Imaging Archive, doi:10.7937/K9/TCIA.2015.LO9QL9SX (CC BY 3.0). Manual heart segmentations and the 3 mm resampling: DeepCAC, Zeleznik et al., Nat Commun 12, 715 (2021), doi:10.1038/s41467-021-20966-2."

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet $(TORCH) --editable '.[test,train,import,postgresql,parquet,outcomes]'
	@touch $@

# Everything that a machine without any index needs: pip install --no-index --find-links wheelhouse rtqc
wheelhouse: $(VENV)/.installed
	rm -rf $(WHEELHOUSE)
	$(BIN)/python -m pip wheel --quiet --wheel-dir $(WHEELHOUSE) '.[postgresql,parquet,outcomes]'

# Versions with hashes, licences and the bill of materials, from what is installed here and what pip would choose today.
supply: $(VENV)/.installed-test
	$(BIN)/python -m tools.constraints
	$(BIN)/python -m tools.licences
	$(BIN)/python -m tools.sbom

clean:
	rm -rf $(VENV) build dist demo wheelhouse .mypy_cache .ruff_cache .pytest_cache
