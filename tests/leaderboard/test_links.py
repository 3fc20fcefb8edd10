"""Links between suites: who counts, which numbers, what is said; measures of shape and texture side by side."""

from dataclasses import replace

import numpy as np
import pytest
from plain_suites import plain_suite, text
from scipy import stats

from benchmark import api
from benchmark.contracts import Metric
from benchmark.leaderboard import links
from benchmark.leaderboard.board import boards
from benchmark.leaderboard.lineage import NETWORKS, architecture_line, lineage
from benchmark.leaderboard.summary import summaries
from benchmark.stats.rankings import Correlation

RECIPES = {"standard": ("standard",), "stylised": ("stylised",), "adversarial": ("adversarial(l2,3)",)}
HEAD = Metric(name="head", title="head", definition="", direction="higher", headline=True)
CONFLICT = plain_suite("cue-conflict", questions={"corruption": "does shape bias buy corruption robustness?"})
CORRUPTION = plain_suite("corruption", HEAD, Metric(name="plain", title="clean", definition="", clean=True))


@pytest.fixture
def numbers():
    """observer -> (cue-conflict, corruption, clean), of 1000."""
    rng = np.random.default_rng(4)
    names = [f"net{a}-{r}-{s}" for a in "abcd" for r in RECIPES for s in (0, 1)]
    return {name: tuple(int(v) for v in rng.integers(50, 950, 3)) for name in names}


@pytest.fixture
def summary(score, numbers):
    cue, noise = ({"suite": suite, "role": "", "metric": "head"} for suite in ("cue-conflict", "corruption"))
    asked = (cue, noise, {**noise, "metric": "plain"})
    shown = ((*at, name) for name, values in numbers.items() for at in zip(asked, values, strict=True))
    rows = [score(name, n, 1000, **where, training=RECIPES[name.split("-")[1]]) for where, n, name in shown]
    rows += [score(kind, 999, 1000, **cue, kind=kind) for kind in ("human", "ideal", "simulated")]
    rows.append(score("raw", 500, 1000, **cue, training=("untrained",)))
    return summaries([b for suite in (CONFLICT, CORRUPTION) for b in boards(rows, suite, {})])[0]


@pytest.mark.parametrize(("name", "training", "expected"), [
    ("world-stylised-2", ("stylised",), ("", "world", "-stylised", "2", "stylised", "world/stylised")),
    ("world-standard-stylised-0", ("standard", "stylised"),
     ("", "world", "-standard-stylised", "0", "standard + stylised", "world/standard+stylised")),
    ("resnet50", (), ("", "resnet50", "", "", "not stated", "resnet/not stated")),
    ("resnet101 (lab)", ("standard",), ("lab", "resnet101", "", "", "standard", "resnet/standard")),
    ("resnet50_trained_on_SIN (lab)", ("stylised",),
     ("lab", "resnet50", "_trained_on_sin", "", "stylised", "resnet/stylised")),
    ("resnet50_l2_eps0_05 (lab)", ("adversarial(l2,0.05)",),
     ("lab", "resnet50", "_l#_eps#", "", "adversarial(l2,0.05)", "resnet/adversarial")),
    ("squeezenet1_0 (lab)", ("standard",),
     ("lab", "squeezenet1_0", "", "", "standard", "squeezenet/standard")),
    ("net_seed3 (lab)", ("standard",), ("lab", "net", "", "3", "standard", "net/standard")),
    ("net_adv.run3", ("adversarial",),
     ("", "net", "_adv", "3", "adversarial", "net/adversarial")),
    ("resnet50_s2", ("standard",), ("", "resnet50", "", "2", "standard", "resnet/standard")),
    ("vit_s16", ("standard",), ("", "vit_s16", "", "", "standard", "vit/standard")),
])  # fmt: skip
def test_lineage_is_read_from_names_and_tags(name, training, expected):
    assert lineage(name, training)[:6] == expected


@pytest.mark.parametrize(("name", "card", "expected"), [
    ("resnet50 (lab)", {"family": "clip", "arch": "timm:vit_base"}, "clip"), ("tv_resnet50 (lab)", {}, "resnet"),
    ("ViT_L (lab)", {}, "vit"), ("swag_regnety_16gf", {}, "regnet"),
    ("mine-2", {"arch": "timm:tf_efficientnetv2_s"}, "efficientnet"),
    ("world-standard-0", {"checkpoint": {"run": "world-a"}}, "world-a"),
    ("gravity-net", {"arch": "python:a.b:c"}, "gravity-net"),
])  # fmt: skip
def test_the_line_of_an_architecture_is_on_the_card_or_in_names(name, card, expected):
    assert architecture_line(name, card) == expected
    assert lineage(name, ("stylised",), card).family == f"{expected}/stylised"


def test_a_number_that_is_not_trusted_takes_no_part_and_its_network_is_named(summary):
    first = next(line for line in summary.lines if line.kind in NETWORKS)
    name = summary.headlines[0].suite
    odd = first.cells[name]._replace(flags=("trust: one answer ('cat') for nearly all images",))
    marked = first._replace(cells={**first.cells, name: odd})
    altered = replace(summary, lines=tuple(marked if line is first else line for line in summary.lines))
    found, whole = ({(x.x.suite, x.y.suite): x for x in links.links(one)} for one in (altered, summary))
    pair, other = ("cue-conflict", "corruption"), ("corruption", "clean")
    assert first.observer in {one.name for one in whole[pair].observers}
    assert first.observer not in {one.name for one in found[pair].observers}
    assert found[pair].spearman.n == whole[pair].spearman.n - 1
    assert found[other].spearman == whole[other].spearman
    assert any(first.observer in line for line in links.link_tables(list(found.values()), "")[0].notes)


def test_where_lower_is_better_on_one_side_what_rises_together_goes_against_each_other(summary):
    sure = replace(links.links(summary)[0], spearman=Correlation(value=0.8, low=0.5, high=0.9, n=24, families=12))
    x, y = (replace(side, direction="lower") for side in (sure.x, sure.y))
    said = [links.link_result(replace(sure, **sides)) for sides in ({}, {"x": x}, {"y": y}, {"x": x, "y": y})]
    together, against = "they go together", "they go against each other"
    assert said == [together, against, against, together]


def test_coefficients_equal_an_independent_computation(summary, numbers):
    found = {(one.x.suite, one.y.suite): one for one in links.links(summary)}
    bias, noise, clean = np.array(list(numbers.values())).T / 1000
    link = found["cue-conflict", "corruption"]
    assert link.spearman.value == pytest.approx(stats.spearmanr(bias, noise)[0], abs=1e-12)
    assert link.pearson.value == pytest.approx(stats.pearsonr(bias, noise)[0], abs=1e-12)
    r = np.corrcoef([stats.rankdata(v) for v in (bias, noise, clean)])
    expected = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    assert link.partial.value == pytest.approx(expected, abs=1e-12)
    assert (link.spearman.n, link.spearman.families) == (24, 12)
    assert set(link.spearman.without) == {one.lineage.family for one in links.observed_networks(summary)}
    assert found["cue-conflict", "clean"].partial is None


def conflict(name):
    """Shape bias, of the answers to "cue-conflict"."""
    bias = Metric(name="bias", title="bias", definition="", direction="higher", role="cue-conflict", headline=True)
    return plain_suite(name, bias, experiments={"cue-conflict": "cue-conflict", "edges": "edges"})


#: A mean over experiments, "cue-conflict" among them.
HUMAN = plain_suite(
    "human-comparison",
    Metric(name="kappa", title="kappa", definition="", direction="higher", headline=True, parts="kept"),
    experiments={name: name for name in ("cue-conflict", "edges", "sketch")},
)


@pytest.fixture
def circular(score):
    """(summary, scores): bias and the kappa on "cue-conflict" are one; of 12 networks 4 saw "sketch", too."""
    rng = np.random.default_rng(1)
    rows, parts, experiments = [], {}, ("cue-conflict", "edges", "sketch")
    human = {"suite": "human-comparison", "metric": "kappa"}
    cue = {"suite": "cue-conflict", "metric": "bias", "role": "cue-conflict", "stimuli": "c"}
    for at, letter in enumerate("abcdefghijkl"):
        name = f"net{letter}"
        own = parts[name] = {role: int(rng.integers(50, 950)) for role in experiments[: 3 if at < 4 else 2]}
        rows.append(score(name, own["cue-conflict"], 1000, **cue))
        rows.append(score(name, own["cue-conflict"], 1000, **human, role="", flags=("1 of 3 experiments",)))
        rows += [score(name, n, 1000, **human, role=role, condition="kept", stimuli=role) for role, n in own.items()]
    suites = [conflict("cue-conflict"), HUMAN, conflict("cue-conflict:other")]
    rows += [row._replace(suite="cue-conflict:other") for row in rows if row.suite == "cue-conflict"]
    made = summaries([board for suite in suites for board in boards(rows, suite, {})])[0]
    return made, rows, parts


def test_what_shares_answers_is_never_correlated(circular):
    summary, rows, parts = circular
    found = links.links(summary, parts=links.experiment_values(summary, rows))
    own = [link for link in found if "cue-conflict" in (link.x.suite, link.y.suite)]
    kappas = [link for link in own if "human" in link.x.suite + link.y.suite]
    assert [link.spearman.n for link in kappas] == [12, 4]
    bias, edges = ([one[role] for one in parts.values()] for role in ("cue-conflict", "edges"))
    both = [one["edges"] + one["sketch"] for one in parts.values() if "sketch" in one]
    expected = [stats.spearmanr(bias, edges)[0], stats.spearmanr(bias[:4], both)[0]]
    assert [link.spearman.value for link in kappas] == pytest.approx(expected)
    titles = {link.x.title if "human" in link.x.suite else link.y.title for link in kappas}
    assert titles == {f"human-comparison kappa ({n} of 3 experiments, without cue-conflict)" for n in (1, 2)}
    (refused,) = [link for link in own if "other" in link.x.suite + link.y.suite]
    assert refused.spearman.value is None
    assert refused.spearman.reason == "both are made of the same answers (cue-conflict)"
    # without the single experiments nothing can be left out
    assert {link.spearman.value for link in links.links(summary)} == {None}


NAMES = ("neta-standard-0", "netb-standard-0", "netc-stylised-0", "netd-standard-0", "nete-adversarial-0")
SHAPE = (100, 300, 900, 300, 500)
TEXTURE = (900, 800, 200, 700, 650)  # the other way round, but for the second and the fourth
CUES = plain_suite(
    "cues",
    Metric(name="shape", title="shape", definition="", headline=True, cue="shape"),
    Metric(name="texture", title="texture", definition="", cue="texture", direction="none"),
    Metric(name="unmeasured", title="unmeasured", definition="", cue="shape", direction="none"),
)


@pytest.fixture
def cue(score):
    def row(name, metric, right):
        return score(name, right, 1000, suite="cues", metric=metric, role="", training=("standard",))

    def made(shape=slice(5), texture=slice(5), shown=None):
        rows = [row(*at) for at in zip(NAMES[shape], ["shape"] * 5, SHAPE[shape], strict=False)]
        rows += [row(*at) for at in zip(NAMES[texture], ["texture"] * 5, TEXTURE[texture], strict=False)]
        tables = [(metric, board) for metric in CUES.metrics for board in boards(rows, CUES, {}, metric.name)]
        return links.measures_of(tables, {}, shown)[0]

    return made


def test_rows_are_ordered_by_the_first_measure_and_an_empty_one_is_no_column(cue):
    cue = cue()
    assert [head.title for head in cue.summary.headlines] == ["shape (cues)", "texture (cues)"]
    assert cue.textures == {"texture (cues)"}
    order = [line.observer[:4] for line in cue.summary.lines]
    assert order == ["netc", "nete", "netb", "netd", "neta"]
    assert {line.rank for line in cue.summary.lines} == {None}
    (note,) = (n for n in cue.summary.notes if n.startswith("no observer has"))
    assert note == "no observer has a value: unmeasured (cues)"


def test_agreement_is_that_of_ranks_and_disagreement_counts_pairs(cue):
    cue = cue()
    (link,) = cue.links
    assert link.spearman.value == pytest.approx(stats.spearmanr(SHAPE, TEXTURE).statistic)
    share, apart = links.disagreement(link, cue.textures)
    assert share == 0.0  # neta < netb = netd < nete < netc by shape; texture splits the tie
    assert {name: (x, y) for name, x, y in apart}["netb-standard-0"] == (3.5, 4.0)
    assert links.disagreement(link, frozenset())[0] == 1.0  # as if both were of shape
    assert {table.facts["space"] for table in links.measure_tables([cue]) if "space" in table.facts} == {"photographs"}
    said = text([*links.measure_tables([cue])][2:])
    assert "shape (cues)" in said and "netb-standard-0 (3.5, 4)" in said


def test_a_filter_hides_rows_and_leaves_their_order(cue):
    """Of all five, most have a shape bias; of the two that are shown, only one has."""
    some = cue(slice(4), slice(3, 5), NAMES[3:])
    assert [line.observer for line in some.summary.lines] == [NAMES[3], NAMES[4]]
    assert [head.title for head in some.summary.headlines] == ["shape (cues)", "texture (cues)"]


@pytest.mark.slow
def test_ideal_observers_hang_on_their_cue_by_every_measure(tmp_path):
    db = str(tmp_path / "results.db")
    api.run(models="ideal-shape,ideal-texture", suites="cue-conflict", db=db, limit=320)
    (cue,) = api.measures(api.Selection(db))
    rows = {row.observer: row for row in cue.summary.references}
    for head in cue.summary.headlines:
        shape, texture = (rows[name].cells[head.suite].value for name in ("ideal-shape", "ideal-texture"))
        if None not in (shape, texture):
            assert (shape > 0.95 and texture < 0.15) != (head.suite in cue.textures), head.suite
