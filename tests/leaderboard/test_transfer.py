"""The transfer matrix: published proportions in, published numbers out; groups, columns, intervals."""

import csv
import io
import json

import numpy as np
import pytest
from published_matrix import PEOPLE, ROWS, N, write_matrix

from benchmark import api
from benchmark.contracts import Trials
from benchmark.failures import UnknownName
from benchmark.leaderboard import transfer
from benchmark.leaderboard.transfer import PAPER, ObserverTrials, TrialPool, transfer_columns, transfer_matrix
from benchmark.stats import wilson
from benchmark.stimuli.regenerate import named_recipe

SANDP, UNIFORM = "noise(salt-and-pepper)", "noise(uniform)"


def answered(name, cells, training=(), kind="network", n=200, seen=(), shift=0):
    """An observer with `n` trials per condition, cells: condition -> accuracy; right answers begin at `shift`."""
    condition = np.repeat(np.array([*cells]), n)
    right = [np.roll(np.arange(n) < round(accuracy * n), shift) for accuracy in cells.values()]
    columns = {"condition": condition, "right": np.concatenate(right), "seen": np.isin(condition, [*seen])}
    columns |= {"stimulus": np.tile([f"i{k}" for k in range(n)], len(cells)), "role": np.full(len(condition), "")}
    return ObserverTrials(observer=name, kind=kind, trials=Trials(columns=columns, training=tuple(training)))


def pool(*members):
    return TrialPool(title="a pool", space="geirhos16", categories=16, members=tuple(members))


def row(made, title):
    return next(one for one in made.rows if one[0] == title)


def values(made, title):
    return [cell.value for cell in row(made, title)[4:]]


@pytest.fixture(scope="module")
def published(folder):
    write_matrix(folder / "tables")
    api.import_trials(folder / "tables", db=str(folder / "matrix.db"))
    return str(folder / "matrix.db")


@pytest.mark.release
def test_the_published_matrix_comes_out(published):
    (made,) = api.transfer(api.Selection(published))
    assert [column.facts["conditions"] for column in made.fields[4:]] == [*PAPER]
    assert values(made, "people (mean of 2)") == [None if value is None else pytest.approx(value) for value in PEOPLE]
    for observer, expected in ROWS.items():
        assert values(made, ", ".join(named_recipe(observer))) == pytest.approx(list(expected))
    assert len(made.rows) == len(ROWS) + 1
    assert made.rows[0][1] == "people" and made.rows[0][4].source.method == "t over 2 people"
    assert made.rows[1][2] == ("colour",)
    cell = row(made, SANDP)[-1]
    assert ((cell.low, cell.high), cell.n) == (wilson(102, N), N)


@pytest.mark.release
def test_the_command(published, bench):
    def shown(*form):
        ended = bench("compare", "transfer", "--db", published, *form)
        assert ended.code == 0, ended.err
        return ended.out

    assert all(text in shown() for text in ("0.794", "0.102", "0.062", "0.803", "chance 0.0625"))
    table = list(csv.DictReader(io.StringIO(shown("--format", "csv"))))
    found = {(r["trained_on"], r["conditions"]): r["value"] for r in table}
    assert float(found[SANDP, "salt-and-pepper/0.2"]) == pytest.approx(0.794)
    assert found["people (mean of 2)", "salt-and-pepper/0.2"] == ""
    (told,) = json.loads(shown("--format", "json"))
    assert (told["chance"], len(told["rows"])) == (1 / 16, len(ROWS) + 1)
    text = shown("--format", "markdown")
    assert all(word in text for word in ("| noise(salt-and-pepper) |", "0.7940", "trained on this condition"))


def test_seeds_of_a_recipe_are_averaged():
    seeds = zip("abc", (0.5, 0.7, 0.6), (0, 0, 50), strict=True)
    made = transfer_matrix(pool(*(answered(name, {"fog/1": a}, ["standard"], shift=by) for name, a, by in seeds)))
    ((title, _, _, observers, cell),) = made.rows
    assert (title, observers) == ("standard", ("a", "b", "c"))
    assert (cell.value, cell.n) == (pytest.approx(0.6), 600)
    half = 4.302653 * 0.1 / np.sqrt(3)  # t over three observers, wider than over images
    assert (cell.low, cell.high) == pytest.approx((0.6 - half, 0.6 + half), abs=1e-5)
    assert "3 observers" in cell.source.method


def test_recipe_tags_in_any_order_are_one_recipe():
    recipes = {"a": ["standard", "stylised"], "b": ["stylised", "standard"], "c": ["stylised"], "d": []}
    members = pool(*(answered(name, {"fog/1": 0.5}, recipe) for name, recipe in recipes.items()))
    assert [one[0] for one in transfer_matrix(members).rows] == ["stylised", "standard, stylised", "d"]


def test_columns():
    levels = {"contrast/c100": 0.9, "contrast/c05": 0.5, "contrast/c01": 0.1}
    eidolons = {"eidolonI/2-10-10": 0.9, "eidolonI/8-10-10": 0.52, "eidolonI/64-10-10": 0.1}
    people = answered("subject-01", {**eidolons, "contrast/c01": 0.5}, kind="human")
    severities = {f"gaussian_noise/{s}": 0.5 for s in (1, 2, 3)}
    noises = {"uniform-noise/0.1": 0.8, "uniform-noise/0": 0.9}
    seen = {"eidolonI/8-10-10": 0.3, "eidolonI/2-10-10": 0.8}
    both = pool(people, answered("net", {"clean": 0.9, **severities, **levels, **seen, **noises}))
    default = ["clean", "contrast c05", "uniform-noise 0.1", "eidolonI 8-10-10", "gaussian_noise (3 levels)"]
    for asked, expected in (
        (["default"], default),
        (["contrast/*", "gaussian_noise/2", "contrast/c05"],
         ["contrast c100", "contrast c05", "contrast c01", "gaussian_noise 2"]),
    ):  # fmt: skip
        assert [transfer.column_title(one) for one in transfer_columns(both, asked)] == expected
    assert len(transfer_columns(both, ["levels"])) == 12
    with pytest.raises(UnknownName, match="gausian_noise"):
        transfer_columns(both, ["gausian_noise/2"])
    # contrast/c01 of people alone and what nobody was shown make no column
    assert "eidolonI 64-10-10" not in [field.key for field in transfer_matrix(both).fields]


def test_a_condition_that_nobody_of_a_row_answered_is_not_measured():
    shown = answered("a", {"contrast/c05": 0.5}, ["x"]), answered("b", {"rotation/90": 0.5}, ["y"])
    made = transfer_matrix(pool(*shown))
    cells = [(cell.value, cell.reason) for one in made.rows for cell in one[4:]]
    assert sorted(cells, key=str) == [(0.5, "")] * 2 + [(None, "not measured")] * 2


def test_the_matrix_as_a_table():
    plain = answered("plain", {"uniform-noise/0.35": 0.6, "salt-and-pepper/0.2": 0.1}, ["standard"])
    both = {"uniform-noise/0.35": 0.5, "salt-and-pepper/0.2": 0.5}
    table = transfer_matrix(pool(plain, answered("net", both, [UNIFORM], n=100, seen=["uniform-noise/0.35"])))
    titles = [f"{name} (n 100-200)" for name in ("salt-and-pepper 0.2", "uniform-noise 0.35")]
    assert [field.title for field in table.fields[4:] if field.right] == titles
    assert table.facts == {"matrix": "a pool", "space": "geirhos16", "chance": 1 / 16}
    assert [row[0] for row in table.rows] == ["standard", UNIFORM]
    assert table.notes == ("Accuracy; chance 0.0625.",)
