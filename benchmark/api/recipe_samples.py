"""Rank and compare recipes over networks and images, from stored trials."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from math import log10
from pathlib import Path
from typing import Annotated

import numpy as np

from benchmark import plugins
from benchmark.api.leaderboards import Filtered, Selection, chosen_names, chosen_suites, fits, suites_with_scores
from benchmark.api.options import Filters, Names, Option, SuiteName, joined
from benchmark.api.paired_comparisons import damaged
from benchmark.api.ranking import rank
from benchmark.api.running import RunRequest, devices_and_policy, prepare
from benchmark.engine.scoring import Scorer
from benchmark.failures import BenchError, unknown_name
from benchmark.leaderboard import recipe_effects as effects
from benchmark.leaderboard.lineage import UNSTATED
from benchmark.leaderboard.links import Observed, observed_networks
from benchmark.leaderboard.summary import Summary, summaries
from benchmark.leaderboard.table import Table
from benchmark.leaderboard.transfer import degrades, pools, transfer_matrix
from benchmark.observer_trials import trials_of_observers
from benchmark.stats.intervals import normal_quantile
from benchmark.stats.network_samples import NetworkAnswers, fixed_images, from_pairs, sampled_ratio
from benchmark.store import IMPORTED, Store

Networks = Sequence[Observed]
Space = tuple[Summary, Networks]  # of one label space
COLUMNS = "Published test levels (default), levels (each), or 'uniform-noise/*'."


def recipes(
    leaderboard: Filtered,
    suite: Annotated[str | None, Option("Show this suite's headline (default: all suites).")] = None,
) -> list[list[effects.HeadlineSample]]:
    """Return each label space's headlines with their networks, for means over recipes, families or architectures."""
    with leaderboard.reading() as store:
        made = [list(_samples(store, *space, suite)) for space in _spaces(leaderboard, store, suite)]
    return [samples for samples in made if samples]


def compare_recipes(
    leaderboard: Selection,
    a: Annotated[str, Option("A recipe as on cards (stylised), or a pattern.")],
    b: Annotated[str, Option("Another recipe.")],
    *,
    suite: SuiteName = None,
) -> list[effects.RecipeDifference]:
    """Compare recipe A with recipe B over networks and images: all headlines are one family of tests (Holm).

    Networks are paired by source, architecture and seed where all of the smaller recipe have a partner."""
    with leaderboard.reading() as store:
        return _compared(store, _spaces(leaderboard, store, suite), a, b, suite)


def _spaces(leaderboard: Selection, store: Store, suite: str | None, by: str | None = None) -> list[Space]:
    """Return each label space's headlines with their networks, whose sizes are values, too."""
    cards, spaces = {row.name: row.card for row in store.observers()}, list[Space]()
    sizes = {name: {effects.SIZE: log10(card["parameters"])} for name, card in cards.items() if card.get("parameters")}
    for summary in summaries(rank(leaderboard, suite, by=by)):
        found = observed_networks(summary, cards)
        spaces.append((summary, [replace(n, values={**n.values, **sizes.get(n.name, {})}) for n in found]))
    return spaces


def _compared(
    store: Store, spaces: Sequence[Space], a: str, b: str, suite: str | None
) -> list[effects.RecipeDifference]:
    known = {network.lineage.recipe for _, networks in spaces for network in networks} - {UNSTATED}
    bare = {name: (name, name.partition("(")[0]) for name in known}
    sides = {asked: frozenset(name for name in known if fits(bare[name], asked)) for asked in (a, b)}
    for name in (name for name, own in sides.items() if not own):
        raise unknown_name("recipe", name, known, "`bench rank --by-recipe` lists those with scores.")
    if len(sides) < 2 or sides[a] & sides[b]:
        both = ", ".join(sorted(sides[a] & sides[b]))
        raise BenchError(f"'{a}' and '{b}' are not two recipes: {both} is of both.")
    wanted = sides[a] | sides[b]
    kept = [(summary, [n for n in networks if n.lineage.recipe in wanted]) for summary, networks in spaces]
    found = effects.compared_recipes((one for space in kept for one in _samples(store, *space, suite)), sides)
    if not found:
        raise BenchError(f"no board has networks of both '{a}' and '{b}': `bench rank --by-recipe` lists recipes.")
    return found


def claims(
    leaderboard: Selection,
    file: Annotated[str | Path | None, Option("A YAML file of claims (default: papers').", kind="file")] = None,
) -> list[effects.TriedClaim]:
    """Try the claims of a file: held, refuted or open.

    A claim names two recipes, a suite, a direction, a margin and the date at which it was stated. Each is tested over
    networks and images; all claims of a family are adjusted together (Holm). Without FILE, the claims of the papers
    behind this package are tried."""
    rows, ranked = [], dict[tuple[str, str | None], list[Space]]()
    with leaderboard.reading() as store:  # a missing leaderboard is an error of its own
        for claim in effects.read_claims(effects.PAPERS if file is None else Path(file)):
            key = claim.suite, claim.metric
            try:
                if key not in ranked:
                    ranked[key] = _spaces(leaderboard, store, *key)
                found = _compared(store, ranked[key], claim.over, claim.under, claim.suite)
            except BenchError as error:
                rows.append(effects.TriedClaim(claim=claim, found=None, reason=str(error).partition(". ")[0]))
                continue
            for one in found:
                names = {*one.a, *one.b}
                made = [each for name in names for each in store.observations(observer=name)]
                first = min((each.created for each in made if each.suite in (claim.suite, IMPORTED)), default="")
                is_dated = all(each.kind != "published" for each in store.observers(names=names))
                rows.append(effects.TriedClaim(claim=claim, found=one, first=first if is_dated else ""))
    return effects.tried(rows)


def recipe_power(
    leaderboard: Selection,
    a: str,
    b: str,
    *,
    suite: str | None = None,
    detect: float = 0.02,
    power: float = 0.8,
    train_hours: Annotated[float, Option("Count so many hours for training a network.", least=0)] = 0.0,
) -> Table:
    """Estimate how many networks and images a comparison of two recipes needs, and the hours of either."""
    from benchmark.engine.costs import expected_seconds

    hours: dict[effects.RecipeDifference, float | None] = {}
    for row in compare_recipes(leaderboard, a, b, suite=suite):
        hours[row] = None
        with suppress(BenchError):  # published networks have no card
            prepared = prepare(RunRequest(models=row.a[0], suites=row.sample.suite), leaderboard.settings)
            devices, _ = devices_and_policy(prepared.request)
            hours[row] = expected_seconds(prepared.tasks, leaderboard.settings, devices[0]) / 3600
    return effects.recipe_power_table(hours, detect=detect, power=power, training=train_hours)


def doses(
    leaderboard: Filtered, suite: Annotated[str | None, Option("Use this suite's headline (default: all).")] = None
) -> Table:
    """Show how headlines depend on numbers of recipes.

    A number is in a recipe tag ('adversarial(l2,3)', 'stylised(0.5)', 'epochs(30)') or is that of a network's
    parameters. Slopes are over networks and images, within lines of architectures; what the networks cannot separate
    is said beside the number."""
    return effects.dose_table([sample for samples in recipes(leaderboard, suite) for sample in samples])


def _samples(store: Store, summary: Summary, networks: Networks, suite: str | None) -> Iterator[effects.HeadlineSample]:
    """Yield each headline with the networks that have a trusted number, on the trials that all of them answered."""
    suites = {each.name: each for each in suites_with_scores(store, suite)}
    lines = {line.observer: line for line in summary.lines}
    for head in summary.headlines:
        if not (own := [network for network in networks if head.suite in network.values]):
            continue
        each = suites[head.suite]
        metric, names = each.metric(head.metric), [network.name for network in own]
        cells = [lines[name].cells[head.suite] for name in names]
        stored = {scored.id: scored.stimuli for scored in store.score_sets(head.suite)}
        sets = [stored.get(cell.source.set_id, {}) for cell in cells]
        values = np.array([network.values[head.suite] for network in own])
        answers, over = NetworkAnswers(values, fixed_images, min(cell.n for cell in cells)), "networks (these images)"
        with damaged("networks"):
            trials = trials_of_observers(store, each, dict(zip(names, sets, strict=True)))
            are_whole = len(trials) == len(own)  # otherwise scores without trials
            if are_whole and metric.ratio is not None:
                answers, over = sampled_ratio(metric, [*trials.values()]) or answers, "networks and images"
            elif are_whole and (against := each.against) and against.pairs:
                # From the suite's test of every two networks, and the standard error of each.
                widths = np.array([(cell.high or 0.0) - (cell.low or 0.0) for cell in cells])
                people = Scorer(store=store, run="", suite=each).peers(summary.space, sets[0], *names)
                tests = against.pairs(trials, {name: one.trials for name, one in people.items()})
                own_tests = (row for row in tests if row[2].metric == metric.name)
                if images := from_pairs(names, own_tests, widths / 2 / normal_quantile(0.95)):
                    answers, over = answers._replace(images=images), f"networks, {metric.over}"
        yield effects.HeadlineSample(
            suite=head.suite, space=summary.space, metric=metric, networks=tuple(own), answers=answers, over=over
        )


def transfer(
    leaderboard: Filtered,
    suite: Annotated[str | None, Option("Use this suite.", "--suite", "-s", metavar="NAME")] = None,
    *,
    conditions: Annotated[Names, Option(COLUMNS, "--conditions", "-c", metavar="WAY|PATTERN,...")] = "default",
) -> list[Table]:
    """Print accuracy by training recipe and degradation.

    This is the transfer matrix of Geirhos et al. 2018. Rows are the recipes on cards (set with `bench import trials
    --training` for published networks); cells with a condition of the recipe are marked."""
    ways = [part.strip() for part in joined(conditions).split(",") if part.strip()]
    shelf = plugins.find_suites()
    with leaderboard.reading() as store:
        chosen = [item for item in chosen_suites(store, suite, shelf) if degrades(item)]
        if suite and not chosen:
            raise BenchError(f"suite '{suite}' has no degraded images for a transfer matrix.")
        judge = next((item for item in shelf.suites.values() if item.seen is not None), None)
        filters, pooled = leaderboard.filters, []
        for pool in pools(store, chosen, judge):
            people = {member.observer for member in pool.members if member.kind == "human"}
            names = chosen_names(store, {member.observer for member in pool.members}, filters)
            names |= chosen_names(store, people, Filters(hide=filters.hide, kind=filters.kind))
            pooled.append(replace(pool, members=tuple(each for each in pool.members if each.observer in names)))
    return [table for pool in pooled if (table := transfer_matrix(pool, ways)).rows]
