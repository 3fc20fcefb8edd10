"""The functions behind the command line and the Python API (`gestaltbench`)."""

from benchmark.api.data_needs import data_needs, fetch_needs
from benchmark.api.databases import check_db, db_status, merge
from benchmark.api.execution import execute, run
from benchmark.api.exports import badge, cite, consistency, document, export, scores, trials
from benchmark.api.imports import ReferenceReport, import_trials, reference, rescore
from benchmark.api.leaderboard_import import import_leaderboard
from benchmark.api.leaderboards import Selection, families, show, suites_not_installed
from benchmark.api.paired_comparisons import compare, compare_each, diff, discordant, power
from benchmark.api.ranking import (
    correlate,
    import_scores,
    is_run,
    measures,
    parameter_counts,
    rank,
    reported,
    summary,
    training_curves,
    transfer,
)
from benchmark.api.recipe_samples import claims, compare_recipes, doses, recipe_power, recipes
from benchmark.api.registration import (
    entrances,
    load_model,
    models,
    name_and_weights,
    named_or_registered,
    one_card,
    register,
    register_each_template,
    rename_model,
)
from benchmark.api.reproduction import NumberAgain, Reproduction, provenance, reproduce
from benchmark.api.running import DEFAULT_MODELS, RunPlan, RunRequest, Silent, estimates, prepare
from benchmark.api.slurm import array_script
from benchmark.api.sweeps import run_name, sweep
from benchmark.api.verdicts import verdict
