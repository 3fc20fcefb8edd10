"""Do the tests notice? Single-line mutants of scoring code, each against the quick tests that run its line.

`changes` makes mutants of a syntax tree, `server` runs tests in a process that has torch imported already,
`coverage_map` knows which test runs which line, `trial` is one mutant against its tests.

Why not a library: cosmic-ray starts a new interpreter for each mutant, ten seconds of imports here; mutmut changes
functions only, not the tables of constants that hold half of a published protocol, and draws no random sample.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
#: Folder of code -> the tests that are nearest to it.
ROOMS = {
    "benchmark/stats": "tests/stats",
    "benchmark/transforms": "tests/transforms",
    "suites/adversarial": "tests/suites/adversarial",
    "suites/corruption": "tests/suites/corruption",
    "suites/cue_conflict": "tests/suites/cue_conflict",
    "suites/human_comparison": "tests/suites/human_comparison",
    "suites/saliency": "tests/suites/saliency",
}
