"""Writes docs/reference.md, docs/reference.csv and the README's table of real observers from published trials.

    bench db reference --db reference.db
    python -m benchmarks.reference --db reference.db [--ladder sb_scores.json]

--ladder: the published shape fractions of critical-band-masking (`data/network_data/sb_scores.json`), for the one
finding on which no trials are published. Every other number is scored from trials.
"""

import argparse
import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark import api
from benchmark.leaderboard.board_tables import collapse_rows
from benchmark.leaderboard.model import Board, Cell, Row
from benchmark.stimuli.catalogue import Named, known_of
from benchmarks.ratios import needs

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- reference:start -->", "<!-- reference:end -->"
SHORT = (
    "resnet50-trained-on-SIN (error-consistency)", "internvl_chat (vlm_shapebias)",
    "ViT_L_14_openai (vlm_shapebias)", "RN50_openai (vlm_shapebias)", "vit_b_16 (model-vs-human-dmc)",
    "resnet50 (error-consistency)", "bagnet9 (error-consistency)",
)  # fmt: skip


def training(row: Row) -> tuple[str, ...]:
    """The recipe on the card, else that of the catalogue."""
    name, _, source = row.observer.rstrip(")").rpartition(" (")
    return row.training or known_of(Named(source, name)).training


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".replace("0.", ".", 1)


def estimate(cell: Cell | None) -> str:
    if cell is None or cell.value is None:
        return "-"
    if cell.low is None:
        return number(cell.value)
    return f"{number(cell.value)} [{number(cell.low)}, {number(cell.high)}]"


def table(rows: Sequence[Row], columns: Sequence[tuple[str, str]]) -> Iterator[str]:
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


def findings(board: Board, db: str, ladder: Path | None) -> Iterator[str]:
    """The claims of the field, each with its numbers."""
    rows = {row.observer: row for row in board.rows}
    bias = {name: row.cells["shape_bias"] for name, row in rows.items()}
    standard = [row for row in rows.values() if training(row) == ("standard",)]
    below = sum((row.cells["shape_bias"].high or 1) < 0.5 for row in standard)
    yield (
        f"**Networks trained on ImageNet alone follow texture.** Shape bias of the {len(standard)} networks with a "
        f"standard recipe: {span(standard, 'shape_bias')}; in {below} of them the interval lies below .5."
    )
    names = [f"resnet50{end} (error-consistency)" for end in ("", "-trained-on-SIN", "-trained-on-SIN-and-IN",
             "-trained-on-SIN-and-IN-then-finetuned-on-IN")]  # fmt: skip
    plain, sin, both, tuned = (estimate(bias[name]) for name in names)
    yield (
        f"**Training on Stylized-ImageNet turns that round, and training on both does not.** ResNet-50 of "
        f"error-consistency: {plain} on ImageNet, {sin} on Stylized-ImageNet, {both} on both, {tuned} on both and then "
        "on ImageNet again."
    )
    yield _where_it_hurts(db)
    clip = [row for row in rows.values() if training(row) == ("language-image",)]
    vlm = [row for row in rows.values() if training(row) == ("vision-language",)]
    people = next(row for row in board.references if row.observer == "people (pooled)")
    reach = sum((cell.high or 0.0) >= (people.cells["shape_bias"].low or 1.0) for cell in bias.values())
    yield (
        "**Language-image networks stand between, and not all of them.** CLIP networks, zero-shot with ImageNet's 80 "
        f"templates: {span(clip, 'shape_bias')}; its ResNets are low, RN50 "
        f"{estimate(bias['RN50_openai (vlm_shapebias)'])}, RN101 {estimate(bias['RN101_openai (vlm_shapebias)'])}. "
        f"Vision-language models: {span(vlm, 'shape_bias')}. People: {estimate(people.cells['shape_bias'])}; the "
        f"interval of {reach} of {len(rows)} networks reaches theirs."
    )
    yield _links(db)
    if ladder is not None:
        yield _ladder(json.loads(ladder.read_text()))


def _links(db: str) -> str:
    """Shape bias against error consistency, on other images than those of shape bias."""
    (_, links, _), *_ = api.correlate(db=db)
    told = (
        f"{estimate(Cell(one.value, one.low, one.high))} over {one.n} networks in {one.families} families "
        f"({link.y.column.title.partition(' (')[0]} on {link.y.title.partition(' (')[2].rstrip(')')})"
        for link in links
        for one in [link.spearman]
        if link.x.column.metric == "shape_bias"
    )
    return (
        "**Whether networks with more shape bias err like people is open.** On the conflict images both numbers are "
        f"made of the same answers. Elsewhere, Spearman: {'; '.join(told)}."
    )


def _where_it_hurts(db: str) -> str:
    """Accuracy by experiment of the two networks whose answers to the degraded images of 2018 are published."""
    found: dict[str, dict[str, tuple[float, int]]] = {}
    for name in ("resnet50 (texture-vs-shape)", "resnet50-sin (texture-vs-shape)"):
        for row in api.show(name, db=db):
            own = row.metric.endswith("_accuracy") and row.role and not row.condition
            if row.suite == "human-comparison" and own and row.value is not None:
                found.setdefault(row.role, {})[name] = (row.value, row.n)
    changes = {
        role: (pair["resnet50-sin (texture-vs-shape)"][0] - pair["resnet50 (texture-vs-shape)"][0],
               pair["resnet50 (texture-vs-shape)"][1])
        for role, pair in found.items()
        if len(pair) == 2
    }  # fmt: skip
    ordered = sorted(changes.items(), key=lambda item: item[1][0])
    worse, better = (
        ", ".join(f"{role} {change:+.3f}".replace("0.", ".") for role, (change, _) in part)
        for part in ([one for one in ordered if one[1][0] < 0], [one for one in reversed(ordered) if one[1][0] >= 0])
    )
    return (
        "**What it does for accuracy depends on the degradation.** Stylised minus standard ResNet-50 of "
        "texture-vs-shape, 16-class accuracy over the kept conditions (of cue conflict: the shape counts as right), "
        f"n from {min(n for _, n in changes.values())} to {max(n for _, n in changes.values())}. "
        f"Better: {better}. Worse: {worse}."
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


def write_csv(boards: Sequence[tuple[Board, Sequence[tuple[str, str]]]]) -> None:
    """Every number of the page's tables, networks that it leaves out included."""
    with (ROOT / "docs" / "reference.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["suite", "observer", "kind", "trained on", "metric", "n", "value", "low", "high"])
        for board, columns in boards:
            for row in (*(row for row in board.references if row.kind != "human"), *board.rows):
                for metric, _ in columns:
                    cell = row.cells.get(metric)
                    if cell is not None and cell.value is not None:
                        ends = ["" if x is None else f"{x:.4f}" for x in (cell.value, cell.low, cell.high)]
                        who = [board.suite, row.observer, row.kind, ", ".join(training(row))]
                        writer.writerow([*who, metric, cell.n or "", *ends])


def page(db: str, ladder: Path | None) -> tuple[str, list[Row]]:
    """The page, and the rows of the README's table."""
    cue = api.rank("cue-conflict", db=db)[0]
    human = next(b for b in api.rank("human-comparison", db=db) if _whole(b))
    people = [row for row in cue.references if row.kind in ("group", "chance")]
    shown = collapse_rows(cue, api.families(db=db)).rows
    cue_columns = [("shape_bias", "shape bias"), ("edges_accuracy", "edges"), ("silhouettes_accuracy", "silhouettes")]
    human_columns = [(c.metric, c.title.partition(" (")[0]) for c in human.columns
                     if c.metric in ("error_consistency", "observed_consistency", "accuracy_difference",
                                     "ood_accuracy")]  # fmt: skip
    shown_columns = [column for column in human_columns if column[0] != "observed_consistency"]
    lines = [
        "# Reference leaderboard", "",
        f"{len(cue.rows)} published networks and {sum(r.kind == 'human' for r in cue.references)} people on the 1,280 "
        "cue-conflict images, and those that took part in all 17 experiments of model-vs-human, scored from published "
        "trials by `bench db reference`. Brackets: 95 % intervals over other shapes and textures "
        "([statistics](statistics.md)); for people, over other people. Every network: [reference.csv](reference.csv); "
        "licences and citations: `bench data list`.",
        "", "## What it shows", "",
        *(f"{i}. {text}" for i, text in enumerate(findings(cue, db, ladder), 1)),
        "", "## Cue conflict", "",
        "The best of each recipe and family, and the lowest. "
        "n: answers that follow one of the two cues. CLIP networks: mean of ImageNet's 80 templates; vision-language "
        "models: a question with 16 options, where published, else a description (`bench show NAME` has the other "
        "prompts).", "",
        *table([*people, *shown], cue_columns),
        "", "## Human comparison, 17 experiments", "",
        "n: trials in kept conditions. Accuracy difference: lower is nearer to people.", "",
        *table([*(r for r in human.references if r.kind == "group"), *human.rows], shown_columns), "",
    ]  # fmt: skip
    write_csv([(cue, cue_columns), (human, human_columns)])
    pooled = next(row for row in cue.references if row.observer == "people (pooled)")
    chosen = [pooled, *(row for name in SHORT for row in cue.rows if row.observer == name)]
    return "\n".join(lines), chosen


def _whole(board: Board) -> bool:
    """Whether its networks answered all 17 experiments."""
    return any(column.average == "17 of 17 experiments" for column in board.columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--db")
    parser.add_argument("--ladder", type=Path)
    options = parser.parse_args()
    if options.db is None:
        needs("a leaderboard of published trials: --db FILE, made by `bench db reference --db FILE`")
    text, chosen = page(options.db, options.ladder)
    (ROOT / "docs" / "reference.md").write_text(text, encoding="utf-8")
    columns = [("shape_bias", "shape bias"), ("edges_accuracy", "edges"), ("silhouettes_accuracy", "silhouettes")]
    short = "\n".join(table(chosen, columns))
    readme = ROOT / "README.md"
    readme.write_text(
        re.sub(f"{START}.*{END}", f"{START}\n{short}\n{END}", readme.read_text(encoding="utf-8"), flags=re.DOTALL),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
