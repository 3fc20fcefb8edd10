"""Recipes on the command line: rank --by-recipe, compare --recipes, compare doses, power --networks, claims."""

from datetime import date

import numpy as np
import pytest
from test_recipe_effects import SIDES, seeds

from benchmark import api
from benchmark.cli import tables
from benchmark.leaderboard import recipe_effects as effects


@pytest.fixture
def asked(monkeypatch, verb_cells):
    """What the verbs are asked for: simulated networks answer."""
    right = np.random.default_rng(8).random((80, 6)) < [0.4, 0.42, 0.41, 0.7, 0.71, 0.69]
    made = seeds(right, ("standard", "stylised(0.5)"))
    found, seen = effects.compared_recipes([made], SIDES | {"stylised": frozenset(["stylised(0.5)"])}), {}

    def verb(name, result):
        def called(*words, leaderboard=None, **given):
            seen[name] = (*words[leaderboard is None :], given)
            return result

        monkeypatch.setattr(api, name, called)
        for cell in verb_cells(getattr(tables, name).callback) if name in ("doses", "claims") else ():
            monkeypatch.setattr(cell, "cell_contents", called)

    claim = effects.RecipeClaim(claim="it helps", over="stylised*", suite="s", stated=date(2026, 1, 2))
    verb("recipes", [[made]])
    verb("compare_recipes", found)
    verb("recipe_power", effects.recipe_power_table({found[0]: 0.25}, detect=0.1, power=0.8, training=2.0))
    verb("claims", effects.tried([effects.TriedClaim(claim=claim, found=found[0])]))
    verb("doses", effects.dose_table([made]))
    return seen


def test_the_commands_ask_their_verbs_and_print_their_tables(asked, bench):
    ended = bench("compare", "--recipes", "stylised", "standard", "--mixed")
    assert "3 pairs by seed" in ended.out and "every network is net" in ended.out
    assert asked["compare_recipes"] == ("stylised", "standard", {"suite": None, "mixed": True})
    bench("compare", "--recipes", "stylised*")
    assert asked["compare_recipes"][1] == "standard"
    ended = bench("compare", "doses", "--format", "csv")
    assert ended.out.startswith("dose,metric,space") and "stylised,s right" in ended.out
    ended = bench("claims", "--format", "csv")
    assert "it helps,held" in ended.out
    ended = bench("power", "stylised", "standard", "--networks", "--train-hours", "2", "--detect", "0.1")
    assert "to train each in 2" in ended.out and "networks" in ended.out
    assert asked["recipe_power"][0]["train_hours"] == 2.0 and asked["recipe_power"][0]["detect"] == 0.1
    for by, title in (("recipe", "recipes"), ("family", "families"), ("architecture", "architectures")):
        assert bench("rank", f"--by-{by}").out.startswith(f"{title}, x")
    ended = bench("power", "stylised", "--networks")
    assert ended.code == 2 and "--networks plans two recipes" in ended.err
