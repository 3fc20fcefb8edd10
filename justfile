# The tasks of the project: `just`, or read the commands here.

# what CI checks, without the slow tests
default: lint test docs

# style, types, import contracts, the table of rooms
lint:
    ruff check .
    ruff format --check .
    mypy
    lint-imports
    python docs/import_table.py --check

# the quick tests
test *words:
    pytest -n 2 --dist loadfile {{words}}

# what takes longer: whole runs, built packages; the fuzzers' batches are apart
slow *words:
    pytest -n 3 --dist loadfile -m slow -k 'not fuzz' {{words}}

# the quick tests with the lowest versions that pyproject.toml allows; needs uv
lowest *words:
    uv venv --quiet --allow-existing --python 3.11 .lowest-venv
    uv pip install --quiet --python .lowest-venv --resolution lowest-direct --editable .
    uv pip install --quiet --python .lowest-venv pytest pytest-xdist hypothesis scikit-learn
    .lowest-venv/bin/python -m pytest -n 2 --dist loadfile {{words}}

# the large batches of the fuzzers, with counts
fuzz *words:
    pytest -m slow -k fuzz -s {{words}}

# look for new counterexamples; each that is found becomes an @example of its test
search *words:
    pytest -m hypothesis --hypothesis-profile=search {{words}}

# the quick tests in ten random orders
shuffle:
    for seed in 1 2 3 4 5 6 7 8 9 10; do pytest -n 2 --dist loadfile -p randomly --randomly-seed=$seed || exit 1; done

# the documentation site, without a warning
docs:
    mkdocs build --strict --quiet

