# The tasks of the project: `just` (pip install rust-just), or read the commands here. CI runs these very recipes.

# tests beside a PostgreSQL server of their own, where its programs are installed; those of one file share a process
tests := "python benchmarks/postgres_server.py pytest --dist loadfile --no-loadscope-reorder"

# what CI checks, without the slow tests
default: lint types docs test

# what CI checks: types beside the rest, then what is slow
ci:
    #!/usr/bin/env bash
    set -euo pipefail
    just types &
    just lint docs test
    just slow
    wait $!

# the program and all that its checks need, in the environment that is active
install:
    pip install --quiet --editable '.[dev]'

# a browser and a data base server, by apt-get; tests that need them are skipped without
programs:
    #!/usr/bin/env bash
    root=$([ "$(id -u)" = 0 ] || echo sudo -n)
    missing=()
    command -v chromium >/dev/null || missing+=(chromium)
    command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
    [ "${#missing[@]}" = 0 ] || ! command -v apt-get >/dev/null ||
        { $root apt-get update -qq && $root apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null || true

# style, import contracts, the table of rooms
lint:
    ruff check .
    ruff format --check .
    lint-imports
    python docs/import_table.py --check

# types
types:
    mypy

# the documentation site, without a warning
docs:
    mkdocs build --strict --quiet

# the quick tests
test *words:
    {{tests}} -n 2 {{words}}

# what takes longer: whole runs, built packages (four on two cores: a third of it is waiting for other processes)
slow *words:
    {{tests}} -n 4 -m 'slow and not release' -k 'not fuzz' {{words}}

# what takes minutes, before a release: attacks on odd networks, every variant and family on a pretended device, Ray
dear *words:
    {{tests}} -n 4 -m release {{words}}

# the quick tests with the lowest versions that pyproject.toml allows
lowest *words:
    uv venv --quiet --allow-existing --python 3.11 .lowest-venv
    uv pip install --quiet --python .lowest-venv --resolution lowest-direct --editable .
    uv pip install --quiet --python .lowest-venv pytest pytest-xdist hypothesis scikit-learn
    .lowest-venv/bin/python -m pytest -n 2 --dist loadfile {{words}}

# the quick tests under another version of Python, with all extras
python version *words:
    uv venv --quiet --allow-existing --python {{version}} .python-venv
    uv pip install --quiet --python .python-venv --editable '.[dev]'
    .python-venv/bin/python -m pytest -n 2 --dist loadfile {{words}}

# wheel and source archive (kept in DIST), each alone in an empty environment: first command, first board
wheel:
    #!/usr/bin/env bash
    set -euo pipefail
    place=$(mktemp -d)
    trap 'rm -rf "$place"' EXIT
    dist="${DIST:-$place/dist}"
    uv build --quiet --out-dir "$dist"
    dist=$(realpath "$dist")
    version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' benchmark/version.py)
    cd "$place"
    for package in "$dist"/*.whl "$dist"/*.tar.gz; do
        rm -rf venv home results.db
        uv venv --quiet venv
        uv pip install --quiet --python venv "$package"
        export BENCH_HOME="$place/home"
        [ "$(venv/bin/bench --version)" = "bench, version $version" ]
        venv/bin/bench run --suite cue-conflict --model "world-standard-*" --limit 32
        venv/bin/bench rank
    done

# a release's tag is its version, with its date and changes
tagged $tag:
    #!/usr/bin/env bash
    set -euo pipefail
    version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' benchmark/version.py)
    released=$(sed -n 's/^RELEASED = "\(.*\)"/\1/p' benchmark/version.py)
    [ "$tag" = "v$version" ]
    grep -q "^version: $version$" CITATION.cff
    grep -q "^date-released: $released$" CITATION.cff
    grep -q "^## $version ($released)$" CHANGELOG.md

# before a release: all of CI, the lowest versions, the newest Python, the built package
release-check: ci dear lowest (python "3.13") wheel

# the large batches of the fuzzers, with counts
fuzz *words:
    pytest -m slow -k fuzz -s {{words}}

# the figures of docs/performance.md and docs/costs.md: five more runs of the benchmarks, hours on two cores
figures *scripts:
    python benchmarks/ratios.py --runs 5 {{scripts}}
    python benchmarks/suite_costs.py
    python docs/measured_tables.py

# look for new counterexamples; each that is found becomes an @example of its test
search *words:
    pytest -m hypothesis --hypothesis-profile=search {{words}}

# change what decides numbers piece by piece: do tests notice? (hours; one room: just mutants "benchmark.stats.*")
mutants *names:
    rm -rf mutants  # the tool never copies a changed data file again
    mutmut run {{names}}
    mutmut results

# the quick tests in ten random orders
shuffle:
    for seed in 1 2 3 4 5 6 7 8 9 10; do pytest -n 2 --dist loadfile -p randomly --randomly-seed=$seed || exit 1; done
