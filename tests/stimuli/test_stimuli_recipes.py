"""Recipes of published networks: from names, statements and a file beside the tables."""

import pytest

from benchmark.stimuli.regenerate import named_recipe, recipes_beside, stated_recipes


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("sixteen01v4", ("colour",)),
        (
            "sixteen22--salt-and-pepper-noise-multiple--uniform-noise-multiple--200epochs",
            ("noise(salt-and-pepper)", "noise(uniform)", "epochs(200)"),
        ),
        ("resnet50-train-60-epochs", ("stylised",)),
        ("sixteen40--color--something-new", ()),
        ("subject-01", ()),
    ],
)
def test_published_names_state_their_recipe(name, recipe):
    assert named_recipe(name) == recipe


def test_statements():
    assert stated_recipes(["a=noise(uniform)", "b = standard, stylised", "a=contrast"]) == {
        "a": ("noise(uniform)", "contrast"),
        "b": ("standard", "stylised"),
    }
    assert stated_recipes(["a=adversarial(linf,4/255),standard"]) == {"a": ("adversarial(linf,4/255)", "standard")}
    assert stated_recipes([]) == {}


def test_a_file_beside_the_tables(tmp_path):
    assert recipes_beside(tmp_path) == {}
    (tmp_path / "training.yaml").write_text("a: noise(uniform)\nb: [standard, stylised]\nc: adversarial(l2,3.0)\n")
    expected = {"a": ("noise(uniform)",), "b": ("standard", "stylised"), "c": ("adversarial(l2,3.0)",)}
    assert recipes_beside(tmp_path) == expected
    (tmp_path / "noise_a_session-1.csv").write_text("")
    assert recipes_beside(tmp_path / "noise_a_session-1.csv") == expected
