"""Writes docs/reference.md, its CSV and the README's table of real observers from published trials.

    bench db reference --db reference.db
    bench run -m 'world-*' --suite all --db world.db
    python -m benchmarks.reference --db reference.db --world world.db [--ladder sb_scores.json]

--ladder: the published shape fractions of critical-band-masking (`data/network_data/sb_scores.json`), for the one
finding on which no trials are published. Every other number is scored from trials.
"""

import argparse
import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmark import api, plugins
from benchmark.api.exports import observer_trials
from benchmark.api.leaderboards import Selection, family
from benchmark.contracts import Suite, Trials
from benchmark.engine.scoring import compare_observers
from benchmark.leaderboard.board_model import Board, Cell, Column, Row
from benchmark.leaderboard.board_tables import collapse_rows, interval_sentence
from benchmark.leaderboard.links import Link
from benchmark.leaderboard.reference_scores import images_digest
from benchmark.stats import Comparison
from benchmark.stats.clusters import clustered_variance, ratio_influence, robust_interval, shared_clusters
from benchmark.stats.comparisons import adjusted
from benchmark.stats.ratios import ratio_arrays
from benchmark.stimuli.published_sources import ObserverName, published_network
from benchmarks.ratios import needs

ROOT = Path(__file__).resolve().parent.parent
README, PAGE = ROOT / "README.md", ROOT / "docs" / "reference.md"
START, END = "<!-- reference:start -->", "<!-- reference:end -->"
STYLISED, STANDARD = "resnet50-sin (texture-vs-shape)", "resnet50 (texture-vs-shape)"
#: The ResNet-50 of three recipes more, by what their names add.
PLAIN = "resnet50 (error-consistency)"
ENDS = tuple(f"-trained-on-{end}" for end in ("SIN", "SIN-and-IN", "SIN-and-IN-then-finetuned-on-IN"))
Tests = Mapping[tuple[str, str], Comparison]
Columns = Sequence[tuple[str, str]]
Line = list[str]
#: Columns of the file; the last four say what a number of a board is of.
HEAD = ("suite", "observer", "kind", "trained on", "metric", "n", "value", "low", "high", "role", "version", "space",
        "stimuli")  # fmt: skip
SHORT = (
    "resnet50-trained-on-SIN (error-consistency)", "internvl_chat (vlm_shapebias)",
    "ViT_L_14_openai (vlm_shapebias)", "RN50_openai (vlm_shapebias)", "vit_b_16 (model-vs-human-dmc)",
    "resnet50 (error-consistency)", "bagnet9 (error-consistency)",
)  # fmt: skip


def training(row: Row) -> tuple[str, ...]:
    """The recipe on the card, else that of the catalogue."""
    name, _, source = row.observer.rstrip(")").rpartition(" (")
    return row.training or published_network(ObserverName(source, name))[0]


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".replace("0.", ".", 1)


def estimate(cell: Cell | None) -> str:
    if cell is None or cell.value is None:
        return "-"
    if cell.low is None:
        return number(cell.value)
    return f"{number(cell.value)} [{number(cell.low)}, {number(cell.high)}]"


def table(rows: Sequence[Row], columns: Columns) -> Iterator[str]:
    """A Markdown table; columns: metric, title. n is of the first."""
    yield f"| observer | trained on | n | {' | '.join(title for _, title in columns)} |"
    yield "|---" * (len(columns) + 3) + "|"
    for row in rows:
        cells = [estimate(row.cells.get(metric)) for metric, _ in columns]
        first = row.cells[columns[0][0]].n or ""
        yield f"| {row.observer} | {', '.join(training(row))} | {first} | {' | '.join(cells)} |"


def span(rows: Sequence[Row], metric: str) -> str:
    values = sorted(row.cells[metric].value or 0.0 for row in rows)
    return f"{number(values[0])} to {number(values[-1])} ({len(values)} networks)"


def tests_of(board: Board, db: str) -> Tests:
    """(network, metric) -> its paired test against the network that it is held against, or people; one family (Holm):
    all differences that the page calls one."""
    cue, human = (plugins.find_suites().suites[name] for name in ("cue-conflict", "human-comparison"))
    named = [row.observer for row in board.rows]
    asked: list[tuple[Suite, list[tuple[str, str]]]] = [
        (human, [(STYLISED, STANDARD)]),
        (cue, [(PLAIN.replace(" (", f"{end} ("), PLAIN) for end in ENDS] + [(name, "people") for name in named]),
    ]
    with Selection(db).reading() as store:
        rows = [
            (tests.a, tests.b, row)
            for suite, pairs in asked
            for tests in compare_observers(store, [suite], pairs)
            for row in (*tests.headlines, *tests.secondary)
            if row.metric.headline or (suite is human and row.metric.role and row.metric.name.endswith("_accuracy"))
        ]
    rows = [one for one in rows if one[2].metric.name != "error_consistency"]
    family = adjusted([row for _, _, row in rows])
    return {
        (a if b != "people" else f"{a} - people", row.metric.name): row.comparison
        for (a, b, _), row in zip(rows, family, strict=True)
    }


def below_half(rows: Sequence[Row], db: str) -> int:
    """How many shape biases lie below .5 by intervals that hold together (Bonferroni)."""
    suite, found = plugins.find_suites().suites["cue-conflict"], 0
    metric, level = suite.headline, 1 - 0.05 / len(rows)
    with Selection(db).reading() as store:
        for row in rows:
            trials = metric.own(observer_trials(store, suite, row.observer) or Trials(columns={}))
            trials = trials.where(ratio_arrays(metric, trials)[1] != 0)
            num, den, _ = ratio_arrays(metric, trials)
            factors = [*shared_clusters(metric, trials).values()]
            spread = clustered_variance(ratio_influence(num, den), factors)
            found += robust_interval(num.sum() / den.sum(), spread, (0.0, 1.0), level)[1] < 0.5
    return found


def signed(test: Comparison) -> str:
    """ "+.600 [.503, .697]", the interval at the level at which Holm's procedure tests it."""
    plus = "+" * ((test.difference or 0) > 0)
    return plus + estimate(Cell(test.difference, test.low, test.high))


def findings(board: Board, db: str, tests: Tests, links: Sequence[Link], ladder: Path | None) -> Iterator[str]:
    """The claims of the field, each with its numbers."""
    rows = {row.observer: row for row in board.rows}
    bias = {name: row.cells["shape_bias"] for name, row in rows.items()}
    standard = [row for row in rows.values() if training(row) == ("standard",)]
    yield (
        f"**Networks trained on ImageNet alone follow texture.** Shape bias with a standard recipe: "
        f"{span(standard, 'shape_bias')}; {below_half(standard, db)} of them are below .5 by "
        "intervals that hold together (Bonferroni)."
    )
    sin, both, tuned = (PLAIN.replace(" (", f"{end} (") for end in ENDS)
    changes = {name: f"{number(bias[name].value)} ({signed(tests[name, 'shape_bias'])})" for name in (sin, both, tuned)}
    yield (
        "**Training on Stylized-ImageNet turns that round, and training on both does not.** ResNet-50 of "
        f"error-consistency: {estimate(bias[PLAIN])} on ImageNet; {changes[sin]} on Stylized-ImageNet; "
        f"{changes[both]} on both; {changes[tuned]} on both and then on ImageNet again."
    )
    yield _where_it_hurts(tests)
    clip = [row for row in rows.values() if training(row) == ("language-image",)]
    vlm = [row for row in rows.values() if training(row) == ("vision-language",)]
    people = next(row for row in board.references if row.observer == "people (pooled)")
    apart = [test for (name, _), test in tests.items() if name.endswith(" - people") and test.difference is not None]
    less, nearest = sum((test.high or 0) < 0 for test in apart), max(apart, key=lambda test: test.difference or -1)
    yield (
        "**Language-image networks lie between, and below people.** CLIP networks, zero-shot with ImageNet's 80 "
        f"templates: {span(clip, 'shape_bias')}; its ResNets are low, RN50 "
        f"{estimate(bias['RN50_openai (vlm_shapebias)'])}, RN101 {estimate(bias['RN101_openai (vlm_shapebias)'])}. "
        f"Vision-language models: {span(vlm, 'shape_bias')}. People: {estimate(people.cells['shape_bias'])}; {less} of "
        f"{len(apart)} networks have less than people, the nearest by "
        f"{signed(nearest)}."
    )
    yield _links(links)
    if ladder is not None:
        yield _ladder(json.loads(ladder.read_text()))


def links_of(db: str) -> list[Link]:
    """Shape bias against error consistency, on other images than those of shape bias."""
    (_, links), *_ = api.correlate(api.Selection(db))
    return [link for link in links if link.x.metric == "shape_bias" and link.spearman.n]


def _plain(column: Column) -> str:
    return column.title.partition(" (")[0].removeprefix(f"{column.suite.partition(',')[0]} ")


def _links(links: Sequence[Link]) -> str:
    found = [(link, link.spearman) for link in links]
    told = (
        f"{estimate(Cell(one.value, one.low, one.high))} over {one.n} networks in {one.families} families "
        f"({_plain(link.y)} on {link.y.title.partition(' (')[2].rstrip(')')})"
        for link, one in found
    )
    unclear = all(one.low is None or one.high is None or one.low <= 0 <= one.high for _, one in found)
    return (
        f"**Whether networks with more shape bias err like people{' is open' * unclear}.** On the conflict images both "
        f"numbers are made of the same answers. Elsewhere, Spearman: {'; '.join(told)}."
    )


def _where_it_hurts(tests: Tests) -> str:
    """Accuracy by experiment of the two networks whose answers to the degraded images of 2018 are published."""
    ways: dict[str, list[str]] = {"Better": [], "Worse": [], "No difference shown": []}
    own = {name.removesuffix("_accuracy"): test for (who, name), test in tests.items() if who == STYLISED}
    for role, test in sorted(own.items(), key=lambda item: -(item[1].difference or 0)):
        way = "Better" if (test.low or 0) > 0 else "Worse" if (test.high or 0) < 0 else "No difference shown"
        ways[way].append(f"{role.replace('_', '-')} {signed(test)}")
    sizes = [test.n for test in own.values()]
    told = ". ".join(f"{way}: {', '.join(of)}" for way, of in ways.items() if of)
    return (
        "**What it does for accuracy depends on the degradation.** Stylised minus standard ResNet-50 of "
        "texture-vs-shape, 16-class accuracy over the kept conditions (of cue conflict: the shape counts as right), "
        f"paired, n from {min(sizes)} to {max(sizes)}. {told}."
    )


def _ladder(scores: dict[str, list[float]]) -> str:
    steps = {name: scores[f"resnet50_l2_eps{name}"] for name in ("0", "0_5", "1", "3", "5")}
    told = ", ".join(
        f"{number(sum(values) / len(values))} (eps {name.replace('_', '.')})" for name, values in steps.items()
    )
    return (
        "**Training against L2 attacks raises shape answers step by step** (reported without trials or intervals). "
        "*Shape fraction* (answers with the shape category over 1,200 conflict trials) of ResNet-50 in "
        f"critical-band-masking: {told}."
    )


def csv_rows(boards: Sequence[tuple[Board, Columns]], db: str, tests: Tests, links: Sequence[Link]) -> Iterator[Line]:
    """Every number of the page, networks that its tables leave out included."""
    yield [*HEAD]
    for board, columns in boards:
        yield from score_lines(board, [metric for metric, _ in columns], db)
    for (name, metric), test in tests.items():
        suite = "cue-conflict" if metric == "shape_bias" else "human-comparison"
        yield line([suite, name, "difference", ""], metric, test.n, test.difference, test.low, test.high)
    for link in links:
        one = link.spearman
        who = ["", f"{link.x.title} ~ {link.y.title}", "correlation", ""]
        yield line(who, "spearman", one.n, one.value, one.low, one.high)


def line(who: Sequence[str], metric: str, n: int | None, *ends: float | None, shown: Sequence[str] = ("",) * 4) -> Line:
    return [*who, metric, str(n or ""), *("" if x is None else f"{x:.6f}" for x in ends), *shown]


def score_lines(board: Board, metrics: Sequence[str], db: str) -> Iterator[Line]:
    """The numbers of a board, with what they are of: verdicts show them beside numbers of the same."""
    shown: dict[str, list[str]] = {}
    with Selection(db).reading() as store:
        for metric in metrics:
            source = next((c.source for row in board.rows if (c := row.cells.get(metric)) and c.source), None)
            if source is not None:
                shown[metric] = [source.role, str(board.version), board.space, images_digest(store, source)]
    for row in (*(row for row in board.references if row.kind in ("group", "simulated", "chance")), *board.rows):
        who = [board.suite, row.observer, row.kind, ", ".join(training(row))]
        for metric in metrics:
            cell = row.cells.get(metric) or Cell()
            if cell.value is not None:
                of = ("",) * 4 if row.kind == "chance" else shown[metric]
                yield line(who, metric, cell.n, cell.value, cell.low, cell.high, shown=of)


def world_lines(db: str | None) -> list[Line]:
    """The headlines of the built-in world; without a leaderboard those that the file has."""
    if db is None:
        with PAGE.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
            return [row for row in csv.reader(file) if row[HEAD.index("space")] == "world16"]
    boards = [board for board in api.rank(Selection(db)) if board.space == "world16" and ":" not in board.suite]
    first = {board.suite: board for board in reversed(boards)}
    return [row for board in first.values() for row in score_lines(board, [board.by], db) if row[2] != "chance"]


def made(db: str, world: str | None, ladder: Path | None) -> dict[Path, str]:
    """Page, CSV and README as they should be."""
    cue = api.rank(api.Selection(db), "cue-conflict")[0]
    human = next(b for b in api.rank(api.Selection(db), "human-comparison") if _whole(b))
    tests, links = tests_of(cue, db), links_of(db)
    people = [row for row in cue.references if row.kind in ("group", "chance")]
    families = {row.name: family(row) for row in api.observers(Selection(db))}
    shown, fewer = (collapse_rows(board, families).rows for board in (cue, human))
    cue_columns = [("shape_bias", "shape bias"), ("edges_accuracy", "edges"), ("silhouettes_accuracy", "silhouettes")]
    human_columns = [(c.metric, c.title.partition(" (")[0]) for c in human.columns
                     if c.metric in ("error_consistency", "observed_consistency", "accuracy_difference",
                                     "ood_accuracy")]  # fmt: skip
    shown_columns = [column for column in human_columns if column[0] != "observed_consistency"]
    lines = [
        "# Reference leaderboard", "",
        f"{len(cue.rows)} published networks and {sum(r.kind == 'human' for r in cue.references)} people on the 1,280 "
        "cue-conflict images, and those that took part in all 17 experiments of model-vs-human, scored from published "
        "trials by `bench db reference`. Every network: [reference.csv](reference.csv); licences and citations: `bench "
        "data list`.",
        "", "## What it shows", "",
        "A value has its 95 % interval in brackets. A difference (+, -) is paired ([tests](statistics.md#tests-of-"
        "differences)); all differences here are one family, its interval at the level at which Holm's procedure tests "
        "it.", "",
        *(f"{i}. {text}" for i, text in enumerate(findings(cue, db, tests, links, ladder), 1)),
        "", "## Cue conflict", "",
        "The best of each recipe and family, and the lowest. "
        f"n: answers that follow one of the two cues. Brackets: 95 %, {over(cue, cue_columns)}; of people, over "
        "people. CLIP networks: mean of ImageNet's 80 templates; vision-language models: a question with 16 options, "
        "where published, else a description (`bench show NAME` has the other prompts).", "",
        *table([*people, *shown], cue_columns),
        "", "## Human comparison, 17 experiments", "",
        "Networks are chosen in the same way. n: trials in kept conditions. Accuracy difference: lower is nearer to "
        "people. Brackets: 95 %, "
        f"{over(human, shown_columns)}; of people, over images and people.", "",
        *table([*(r for r in human.references if r.kind == "group"), *fewer], shown_columns), "",
    ]  # fmt: skip
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(
        [*csv_rows([(cue, cue_columns), (human, human_columns)], db, tests, links), *world_lines(world)]
    )
    pooled = next(row for row in cue.references if row.observer == "people (pooled)")
    chosen = [pooled, *(row for name in SHORT for row in cue.rows if row.observer == name)]
    short, readme = "\n".join(table(chosen, cue_columns)), README.read_text(encoding="utf-8")
    readme = re.sub(f"{START}.*{END}", f"{START}\n{short}\n{END}", readme, flags=re.DOTALL)
    return {PAGE: "\n".join(lines), PAGE.with_suffix(".csv"): file.getvalue(), README: readme}


def over(board: Board, columns: Sequence[tuple[str, str]]) -> str:
    """What the intervals of a table of networks are about."""
    titles = dict(columns)
    return interval_sentence((c for c in board.columns if c.metric in titles), lambda column: titles[column.metric])


def _whole(board: Board) -> bool:
    """Whether its networks answered all 17 experiments."""
    return any(column.average == "17 of 17 experiments" for column in board.columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--db")
    parser.add_argument("--world")
    parser.add_argument("--ladder", type=Path)
    options = parser.parse_args()
    if options.db is None:
        needs("a leaderboard of published trials: --db FILE, made by `bench db reference --db FILE`")
    for path, text in made(options.db, options.world, options.ladder).items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
