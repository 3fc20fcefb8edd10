"""The functions behind the command line and the Python API (`gestaltbench`). Modules are imported on first use."""

import ast
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.api.databases import check_db, db_status, merge
    from benchmark.api.execution import execute, run
    from benchmark.api.exports import badge, cite, consistency, document, export, trials
    from benchmark.api.imports import ReferenceReport, import_scores, import_trials, reference, rescore
    from benchmark.api.leaderboard_import import import_leaderboard
    from benchmark.api.leaderboards import Selection, observers, show, suites_not_installed
    from benchmark.api.missing_sets import data_needs, fetch_needs
    from benchmark.api.paired_comparisons import compare, compare_each, diff, discordant, power
    from benchmark.api.ranking import correlate, measures, rank, reported, summary, training_curves
    from benchmark.api.recipe_samples import claims, compare_recipes, doses, recipe_power, recipes, transfer
    from benchmark.api.registration import entrances, load_model, models, one_card, register, registered, rename_model
    from benchmark.api.reproduction import NumberAgain, Reproduction, provenance, reproduce
    from benchmark.api.running import DEFAULT_MODELS, RunPlan, RunRequest, array_script, estimates, prepare
    from benchmark.api.sweeps import run_name, sweep
    from benchmark.api.verdicts import verdict
    from benchmark.engine.reporters import Silent


@cache
def _modules() -> dict[str, str]:
    """Return name -> its module, as imported above for type checkers."""
    block = next(part for part in ast.parse(Path(__file__).read_bytes()).body if isinstance(part, ast.If))
    imports = [part for part in block.body if isinstance(part, ast.ImportFrom)]
    return {alias.name: str(part.module) for part in imports for alias in part.names}


def __getattr__(name: str) -> Any:
    if name not in _modules():
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_modules()[name]), name)
