"""The verbs behind the command line and the public face (`gestaltbench`). Each is loaded on first use: a ranked table
needs neither plans nor workers."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.api.cards import (
        entrances,
        load_model,
        models,
        named_or_registered,
        one_card,
        register,
        register_each_template,
        remove_model,
        rename_model,
        retire_model,
    )
    from benchmark.api.comparing import compare, compare_each, diff, discordant
    from benchmark.api.databases import MergeReport, check_db, db_status, merge, upgrade, vacuum
    from benchmark.api.deciding import decide
    from benchmark.api.exchange import document, scores, tidy
    from benchmark.api.importing import import_trials, rescore
    from benchmark.api.joining import import_leaderboard
    from benchmark.api.launching import execute, run
    from benchmark.api.opening import known_suites, reading, stimuli_notes
    from benchmark.api.probing import Probe, probe
    from benchmark.api.published_scores import import_scores, reported
    from benchmark.api.ranking import rank, transfer
    from benchmark.api.reference_board import (
        ReferenceReport,
        offer_reference,
        reference,
        reference_db,
    )
    from benchmark.api.reproducing import NumberAgain, Reproduction, provenance, reproduce
    from benchmark.api.requested_names import DEFAULT_MODELS, choose_cards, wanted_sets
    from benchmark.api.running import (
        Prepared,
        RunRequest,
        Silent,
        estimates,
        long_plan,
        planned_passes,
        prepare,
    )
    from benchmark.api.showing import families, provenance_lines, show, who
    from benchmark.api.summaries import (
        against,
        correlate,
        is_run,
        summary,
        summary_with_sizes,
        training_curves,
    )
    from benchmark.api.sweeping import Sweep, Swept, sweep
    from benchmark.api.trial_tables import NAMED_SPACES, answered, observer_trials, trials
    from benchmark.api.watching import sleeping, watch

#: module -> what of it is offered here.
_HOMES = {
    "cards": "entrances load_model models named_or_registered one_card "
    "register register_each_template remove_model rename_model retire_model",
    "comparing": "compare compare_each diff discordant",
    "databases": "MergeReport check_db db_status merge upgrade vacuum",
    "deciding": "decide",
    "exchange": "document scores tidy",
    "importing": "import_trials rescore",
    "joining": "import_leaderboard",
    "launching": "execute run",
    "opening": "known_suites reading stimuli_notes",
    "probing": "Probe probe",
    "ranking": "rank transfer",
    "reference_board": "ReferenceReport offer_reference reference reference_db",
    "published_scores": "import_scores reported",
    "reproducing": "NumberAgain Reproduction provenance reproduce",
    "requested_names": "DEFAULT_MODELS choose_cards wanted_sets",
    "running": "Prepared RunRequest Silent estimates long_plan planned_passes prepare",
    "showing": "families provenance_lines show who",
    "summaries": "against correlate is_run summary summary_with_sizes training_curves",
    "sweeping": "Sweep Swept sweep",
    "trial_tables": "NAMED_SPACES answered observer_trials trials",
    "watching": "sleeping watch",
}

__all__ = [
    "DEFAULT_MODELS",
    "NAMED_SPACES",
    "MergeReport",
    "NumberAgain",
    "Prepared",
    "Probe",
    "ReferenceReport",
    "Reproduction",
    "RunRequest",
    "Silent",
    "Sweep",
    "Swept",
    "against",
    "answered",
    "check_db",
    "choose_cards",
    "compare",
    "compare_each",
    "correlate",
    "db_status",
    "decide",
    "diff",
    "discordant",
    "document",
    "entrances",
    "estimates",
    "execute",
    "families",
    "import_leaderboard",
    "import_scores",
    "import_trials",
    "is_run",
    "known_suites",
    "load_model",
    "long_plan",
    "merge",
    "models",
    "named_or_registered",
    "observer_trials",
    "offer_reference",
    "one_card",
    "planned_passes",
    "prepare",
    "probe",
    "provenance",
    "provenance_lines",
    "rank",
    "reading",
    "reference",
    "reference_db",
    "register",
    "register_each_template",
    "remove_model",
    "rename_model",
    "reported",
    "reproduce",
    "rescore",
    "retire_model",
    "run",
    "scores",
    "show",
    "sleeping",
    "stimuli_notes",
    "summary",
    "summary_with_sizes",
    "sweep",
    "tidy",
    "training_curves",
    "transfer",
    "trials",
    "upgrade",
    "vacuum",
    "wanted_sets",
    "watch",
    "who",
]


def __getattr__(name: str) -> Any:
    home = next((home for home, names in _HOMES.items() if name in names.split()), None)
    if home is None:
        raise AttributeError(f"module 'benchmark.api' has no attribute '{name}'")
    return getattr(import_module(f"benchmark.api.{home}"), name)
