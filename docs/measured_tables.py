"""Tables of the program's own results in pages: docs/numbers.csv, and the blocks of pages that are drawn from it.

    bench run --suite all -m 'world-*' --db world.db
    bench run --suite cue-conflict:ranks,cue-conflict:configural,cue-conflict:frequency -m 'world-*-0' --db world.db
    bench run --suite cue-conflict,cue-conflict:ranks,cue-conflict:configural -m efficientnet-lite0 --db photographs.db
    bench db reference --db reference.db
    python docs/measured_tables.py world.db photographs.db reference.db

Every row is read from the leaderboard that has it; rows that none of the given ones has stay as they are. --check
says whether the pages show what the file holds (exit 1 where one does not), and needs no leaderboard.
"""

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent
FILE = ROOT / "numbers.csv"
#: What benchmarks/interval_coverage.py keeps, and its two tables on a page.
COVERAGE, STATISTICS = ROOT / "coverage.csv", ROOT / "statistics.md"
#: What benchmarks/input_diagnosis.py writes, and the columns of its table: (network, photographs) -> title.
DIAGNOSES = ROOT / "pipeline.csv"
DIAGNOSED = {
    ("efficientnet", "photographs"): "EfficientNet-Lite0-2",
    ("efficientnet", "without batch norm"): "Lite0 without batch norm",
    ("efficientnet", "16 categories"): "Lite0, 16 or 10 categories",
    ("efficientnet", "10 categories"): "Lite0, 16 or 10 categories",
    ("world-transformer", ""): "world, transformer",
    ("world-uniform-noise-0", ""): "world, noise-trained",
    ("world", ""): "world, 3 networks",
}
#: What benchmarks/ratios.py keeps: ratio -> what it is of and its baseline; what benchmarks/suite_costs.py writes.
SPEEDS, COSTS = ROOT / "performance.csv", ROOT / "costs.csv"
MEASURED = {
    "overhead_cpu": ("`bench run`, a warm folder", "a bare loop over images in memory"),
    "overhead_loop_cpu": ("the same, each further image", "the same loop"),
    "board_rank_cpu": ("`bench rank`, 1,000 models", "its bare imports"),
    "board_summary_cpu": ("`bench rank --summary`", "its bare imports"),
    "board_rank_memory": ("memory of `bench rank`", "500 MB"),
    "adversarial_pgd10/foolbox-as-a-user-has-it": ("PGD, 10 steps", "foolbox"),
    "adversarial_pgd10/foolbox-on-the-network-tuned-here": ("the same", "foolbox on the network as tuned here"),
    "adversarial_curve_passes": ("passes of the whole adversarial curve", "a naive sweep over all epsilons"),
    "corruptions_15x5": ("75 common corruptions, times as fast", "imagecorruptions-imaug"),
    "corruption_pixelate": ("pixelate, times as fast", "imagecorruptions-imaug"),
    "corruption_jpeg_compression": ("JPEG, times as fast", "imagecorruptions-imaug"),
    "corruption_defocus_blur": ("defocus blur, times as fast", "imagecorruptions-imaug"),
    "corruption_glass_blur": ("glass blur, times as fast", "imagecorruptions-imaug"),
}
HEAD = ("block", "observer", "suite", "metric", "n", "value", "low", "high")
WORLD = tuple(f"world-{name}-0" for name in ("standard", "stylised", "adversarial", "salt-and-pepper", "uniform-noise"))
LITE = "efficientnet-lite0"
RESNET, VIT = (f"{name} (model-vs-human-dmc)" for name in ("resnet50", "vit_b_16"))
PUBLISHED = tuple(f"{name} (texture-vs-shape)" for name in ("resnet50", "resnet50-sin", "alexnet-caffe"))
REGIMES = ("reference", "near", "far", "extreme")
#: How two measures agree.
AGREEMENT = {"spearman": "Spearman", "share": "ordered differently"}
BASE = "shape bias (cue-conflict)"


class Block(NamedTuple):
    """A table of a page. metrics: "METRIC" or "METRIC/CONDITION" -> title; observers: names, or "A - B" for the paired
    difference of two; without any a row for each measure of shape or texture, against shape bias, over the networks of
    the space `suite`. n: whether the n of the first metric is shown. Of several sets of images the most count."""

    page: str
    suite: str
    observers: Sequence[str]
    metrics: Mapping[str, str]
    n: bool = False


BLOCKS = {
    "cue-conflict": Block(
        "suites/cue-conflict.md", "cue-conflict", ("people (pooled)", *PUBLISHED, LITE),
        {"shape_bias": "shape bias", "graded_shape_bias": "graded"}, n=True,
    ),
    "ranks": Block(
        "suites/cue-conflict.md", "cue-conflict:ranks", (LITE, *WORLD[:2]),
        {"shape_mrr": "shape", "texture_mrr": "texture", "relative_shape_mrr": "shape of both"},
    ),
    "configural": Block(
        "suites/configural.md", "cue-conflict:configural", (LITE, *WORLD[:3]),
        {"silhouette_accuracy/whole": "whole", "silhouette_accuracy/frankenstein": "frankenstein",
         "configural_sensitivity": "**sensitivity**", "fragmentation_cost": "fragmentation",
         "inversion_cost": "inversion"},
    ),
    "low-frequencies": Block(
        "suites/frequencies.md", "cue-conflict:frequency", WORLD, {"low_frequency_bias": "low-frequency bias"}
    ),
    "difficulty": Block(
        "suites/human-comparison.md", "human-comparison", (RESNET, VIT),
        {f"regime_consistency/{regime}": regime for regime in REGIMES},
    ),
    "stylised-training": Block(
        "suites/human-comparison.md", "human-comparison", (*PUBLISHED[:2], " - ".join(reversed(PUBLISHED[:2]))),
        {**{f"error_consistency/{role}": role for role in ("edges", "silhouettes", "cue-conflict")},
         "error_consistency": "mean"},
    ),
    "adversarial": Block(
        "suites/adversarial.md", "adversarial", WORLD,
        {"clean_accuracy": "clean", "robust_linf_1": "Linf 1/255", "robust_accuracy": "Linf 4/255"},
    ),
    "corruption": Block(
        "suites/corruption.md", "corruption", WORLD,
        {"corruption_accuracy": "mean accuracy", "unseen_accuracy": "unseen cells"},
    ),
    "saliency": Block(
        "suites/saliency.md", "saliency", (*WORLD, "world-random-0"),
        {"object_reliance": "**reliance**", "object_share": "object share", "object_auc_excess": "AUC excess",
         "sg_object_auc_excess": "SmoothGrad excess", "grad_centroid": "centroid"},
    ),
    "measures-world": Block("suites/which-shape-bias.md", "world16", (), AGREEMENT, n=True),
    "measures-published": Block("suites/which-shape-bias.md", "photographs", (), AGREEMENT, n=True),
    "world": Block(
        "world.md", "cue-conflict", (*WORLD[:4], "world-detector-0"),
        {"natural_accuracy": "natural", "shape_bias": "shape bias", "shape_bias_alpha0": "alpha 0",
         "shape_bias_alpha1": "alpha 1", "silhouettes_accuracy": "silhouettes", "edges_accuracy": "edges"},
    ),
}  # fmt: skip


def marks(name: str) -> tuple[str, str]:
    return f"<!-- numbers:{name}:start -->", f"<!-- numbers:{name}:end -->"


def measured(db: str, block: Block) -> Iterator[tuple[str, str, int, float | None, float | None, float | None]]:
    """(observer, metric, n, value, low, high) of what a leaderboard has of a table."""
    from benchmark import api
    from benchmark.failures import BenchError

    leaderboard = api.Selection(db)
    for observer in block.observers:
        a, _, b = observer.partition(" - ")
        try:
            if b:
                tests = api.compare(leaderboard, a, b, suite=block.suite)
                held = {(t.metric, t.condition): (t.n, t.difference, t.low, t.high)
                        for row in (*tests.headlines, *tests.secondary) for t in [row.comparison]}  # fmt: skip
            else:
                rows = sorted(
                    (row for row in api.show(leaderboard, a) if row.suite == block.suite), key=lambda row: row.n
                )
                held = {(row.metric, row.role if row.condition == "kept" else row.condition):
                        (row.n, row.value, row.low, row.high) for row in rows}  # fmt: skip
        except BenchError:
            continue  # another leaderboard has it
        for metric in block.metrics:
            if (found := held.get((metric.partition("/")[0], metric.partition("/")[2]))) is not None:
                yield observer, metric, *found


def agreements(db: str, block: Block) -> Iterator[tuple[str, str, int, float | None, float | None, float | None]]:
    """The same of measures of a label space against shape bias; those of texture are turned only in the share."""
    from benchmark import api
    from benchmark.leaderboard.links import disagreement

    for cue in api.measures(api.Selection(db)):
        for link in cue.links if cue.summary.space == block.suite else ():
            other = [side.title for side in (link.x, link.y) if side.title != BASE]
            if len(other) == 1 and other[0] in {head.title for head in cue.summary.headlines}:
                one = link.spearman
                if not one.n:
                    continue
                yield other[0], "spearman", one.n, one.value, one.low, one.high
                yield other[0], "share", one.n, disagreement(link, cue.textures)[0], None, None


def read() -> dict[tuple[str, str, str], dict[str, str]]:
    """(block, observer, metric) -> its row."""
    if not FILE.exists():
        return {}
    with FILE.open(encoding="utf-8", newline="") as file:
        return {(row["block"], row["observer"], row["metric"]): row for row in csv.DictReader(file)}


def write(databases: Sequence[str]) -> None:
    """The file, with what these leaderboards have made anew."""
    rows = read()
    for db in databases:
        for name, block in BLOCKS.items():
            for observer, metric, n, *ends in (measured if block.observers else agreements)(db, block):
                texts = ["" if end is None else f"{end:.6f}" for end in ends]
                line = (name, observer, block.suite, metric, str(n), *texts)
                rows[name, observer, metric] = dict(zip(HEAD, line, strict=True))
    wanted = (
        (name, who, metric)
        for name, block in BLOCKS.items()
        for who in observers(name, block, rows)
        for metric in block.metrics
    )
    with FILE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, HEAD, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[key] for key in wanted if key in rows)


def observers(name: str, block: Block, rows: Iterable[tuple[str, str, str]]) -> Sequence[str]:
    """Whose rows a table has, in order."""
    return block.observers or list(dict.fromkeys(who for of, who, _ in rows if of == name))


def number(text: str) -> str:
    return f"{float(text):.3f}".replace("0.", ".", 1)


def cell(row: Mapping[str, str] | None) -> str:
    if row is None or not row["value"]:
        return "-"
    ends = f" [{number(row['low'])}, {number(row['high'])}]" if row["low"] else ""
    return number(row["value"]) + ends


def table(name: str, block: Block, rows: Mapping[tuple[str, str, str], Mapping[str, str]]) -> str:
    """The table as Markdown."""
    first = next(iter(block.metrics))
    lines = [
        f"| {'observer' if block.observers else 'measure'} | {'n | ' * block.n}{' | '.join(block.metrics.values())} |"
    ]
    lines.append("|---" * (1 + block.n + len(block.metrics)) + "|")
    for who in observers(name, block, rows):
        own = [rows.get((name, who, metric)) for metric in block.metrics]
        if any(own):
            n = f"{rows[name, who, first]['n']} | " if block.n else ""
            lines.append(f"| {who} | {n}{' | '.join(map(cell, own))} |")
    return "\n".join(lines)


def shares(*, size: bool) -> str:
    """Sizes of tests or coverage of intervals as Markdown: the least and the most of the settings of each kind."""
    kinds: dict[str, dict[str, list[str]]] = {}
    for row in rows_of(COVERAGE):
        if (row["by"] == "size") == size:
            kinds.setdefault(row["what"], {}).setdefault(row["by"], []).append(number(row["share"]))
    lines = ["| test | size |", "|---|---|"] if size else ["| number | coverage of each interval |", "|---|---|"]
    for what, each in kinds.items():
        ends = (f"{'' if size else by + ' '}{' to '.join(dict.fromkeys((min(n), max(n))))}" for by, n in each.items())
        lines.append(f"| {what} | {'; '.join(ends)} |")
    return "\n".join(lines)


def named_faults() -> str:
    """How often faults of the input are named, as Markdown: of several networks the least, of right ones the most false
    alarms. A fault that hardly changes answers has none."""
    groups: dict[str, dict[str, list[float]]] = {title: {} for title in DIAGNOSED.values()}
    with DIAGNOSES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            of, fault, right = row["photographs"], row["fault"], row["fault"] == "right"
            if of in ("blurred", "noised"):
                of, fault = "photographs", f"right, {of}"
            own = (t for (who, on), t in DIAGNOSED.items() if row["network"].startswith(who) and on in ("", of))
            if (title := next(own, None)) is None:
                continue
            if right or float(row["points"]) > 2 or float(row["nats"]) > 0.05:
                groups[title].setdefault(fault, []).append(float(row["alarm" if right else "remedy"]))
    groups = {title: each for title, each in groups.items() if each}
    faults = list(dict.fromkeys(fault for each in groups.values() for fault in each))
    faults.sort(key=lambda fault: not fault.startswith("right"))
    lines = [f"| fault | {' | '.join(groups)} |", "|---" * (1 + len(groups)) + "|"]
    for fault in faults:
        worst = max if fault.startswith("right") else min
        cells = (f"{worst(each[fault]):.2f}" if fault in each else "-" for each in groups.values())
        lines.append(f"| {fault.replace('right', 'none (false alarms)', 1)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def speeds() -> str:
    """Ratios of speed as Markdown: the median and the range of the last five runs, and how many days they are of."""
    runs: dict[str, list[dict[str, str]]] = {}
    for row in rows_of(SPEEDS):
        runs.setdefault(row["ratio"], []).append(row)
    lines = ["| what | median | range | runs, days | baseline |", "|---|---|---|---|---|"]
    for name, (what, baseline) in MEASURED.items():
        if last := runs.get(name, [])[-5:]:
            values, days = [float(row["value"]) for row in last], len({row["day"] for row in last})
            ends = f"{min(values):.2f} to {max(values):.2f}"
            lines.append(f"| {what} | {median(values):.2f} | {ends} | {len(last)}, {days} | {baseline} |")
    return "\n".join(lines)


def checked_costs() -> str:
    """Predicted and measured processor seconds of small runs as Markdown."""
    lines = ["| network | suite | images | predicted s | measured s |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['network']} | {row['suite']} | {row['images']} | {row['predicted']} | {row['measured']} |"
        for row in rows_of(COSTS)
        if row["what"] == "checked"
    ]
    return "\n".join(lines)


def whole_costs() -> str:
    """Hours and dollars of each suite in full as Markdown, and of all."""
    rows = [row for row in rows_of(COSTS) if row["what"] == "whole"]
    networks, devices = (list(dict.fromkeys(row[key] for row in rows)) for key in ("network", "device"))
    columns = [(network, device) for network in networks for device in devices]
    titles = (f"{network.removeprefix('timm:').split('_patch')[0]}, {device}" for network, device in columns)
    lines = [f"| suite | images | {' | '.join(titles)} |", "|---" * (2 + len(columns)) + "|"]
    for suite in (*dict.fromkeys(row["suite"] for row in rows), "all"):
        own = [row for row in rows if suite in ("all", row["suite"])]
        cells = []
        for column in columns:
            of = [row for row in own if (row["network"], row["device"]) == column]
            hours, price = (sum(float(row[key]) for row in of) for key in ("predicted", "price"))
            taken = f"{3600 * hours:.0f} s" if hours < 0.1 else f"{hours:,.1f} h"
            cells.append(f"{taken}, ${price:,.2f}")
        images = sum({row["suite"]: int(row["images"]) for row in own}.values())
        lines.append(f"| {suite} | {images:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def pages() -> dict[Path, str]:
    """Each page as its blocks should be."""
    rows, texts = read(), dict[Path, str]()
    tables = {name: (ROOT / block.page, table(name, block, rows)) for name, block in BLOCKS.items()}
    tables["diagnosis"] = (DIAGNOSES.with_suffix(".md"), named_faults())
    tables |= {name: (STATISTICS, shares(size=name == "size")) for name in ("coverage", "size")}
    tables["speeds"] = (SPEEDS.with_suffix(".md"), speeds())
    tables["costs-checked"] = (COSTS.with_suffix(".md"), checked_costs())
    tables["costs"] = (COSTS.with_suffix(".md"), whole_costs())
    for name, (path, drawn) in tables.items():
        start, end = marks(name)
        text = texts.get(path) or path.read_text(encoding="utf-8")
        head, found, rest = text.partition(start)
        _, closed, tail = rest.partition(end)
        if not (found and closed):
            raise SystemExit(f"{path}: lacks {start} ... {end}")
        texts[path] = f"{head}{start}\n{drawn}\n{end}{tail}"
    return texts


def main() -> int:
    """Write file and pages, or check these."""
    check = "--check" in sys.argv
    if not check:
        write(sys.argv[1:])
    stale = [path for path, text in pages().items() if path.read_text(encoding="utf-8") != text]
    for path in stale:
        if check:
            print(f"{path}: its numbers are not those of {FILE.name}; run python docs/measured_tables.py")
        else:
            path.write_text(pages()[path], encoding="utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
