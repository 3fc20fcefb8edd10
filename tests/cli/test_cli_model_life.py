"""A model's life after registration: replaced, renamed, retired, removed; and what boards say of it."""

import pytest
import timm
import torch
from click.testing import CliRunner

from benchmark import api
from benchmark.cli import cli
from benchmark.failures import CardError, UnknownName
from registry.cards import read_cards


def bench(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False, standalone_mode=False)


def said(result):
    return result.stdout + result.stderr


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_DB", str(tmp_path / "r.db"))
    for seed in (0, 1):
        torch.manual_seed(seed)
        module = timm.create_model("test_resnet", num_classes=16)
        torch.save({"model": module.state_dict()}, tmp_path / f"net{seed}.pt")
    return tmp_path


REGISTER = ("--arch", "timm:test_resnet", "--labels", "world16", "--size", 64)
RUN = ("--suite", "cue-conflict", "--limit", 4, "-q", "--batch-size", 8)


def registered(home, name, seed=0, *more):
    return bench("register", name, *REGISTER, "--weights", home / f"net{seed}.pt", *more)


def unwrapped(result):
    return " ".join(said(result).split())


def rows(**how):
    return {row.observer: row for board in api.rank(api.Selection().where(**how), "cue-conflict") for row in board.rows}


def flags(row):
    return [flag for cell in row.cells.values() for flag in cell.flags]


@pytest.mark.release
def test_a_model_is_replaced_renamed_retired_and_removed(home):
    first = said(registered(home, "mine"))
    assert "it can run: " in first and "cue-conflict" in first
    assert bench("run", "mine", *RUN).return_value == 0
    assert not any("outdated" in flag for flag in flags(rows()["mine"]))

    with pytest.raises(CardError, match="--replace"):
        registered(home, "mine", 1)
    old = read_cards(home / "home" / "cards")["mine"].sha256
    registered(home, "mine", 1, "--replace")
    outdated = [flag for flag in flags(rows()["mine"]) if "outdated" in flag]
    assert set(outdated) == {f"outdated: of older weights ({old[:12]})"}
    assert bench("run", "ideal-shape", *RUN).return_value == 0
    for reader in (("rank", "--summary"), ("export",), ("export", "--scores"), ("compare", "mine", "ideal-shape")):
        assert f"outdated: of older weights ({old[:12]})" in unwrapped(bench(*reader)), reader
    assert bench("run", "mine", *RUN).return_value == 0
    assert not any("outdated" in flag for flag in flags(rows()["mine"]))

    cells = rows()["mine"].cells
    bench("models", "rename", "mine", "yours")
    shown = rows(hide="ideal-*")
    assert set(shown) == {"yours"}
    assert [cell.value for cell in shown["yours"].cells.values()] == [cell.value for cell in cells.values()]
    assert "1 cached" in said(bench("run", "yours", *RUN))

    bench("models", "retire", "yours")
    assert rows() == rows(models="your*") == {}
    assert set(rows(models="yours")) == {"yours"}
    with pytest.raises(UnknownName):
        bench("run", "your*", *RUN)
    bench("models", "retire", "yours", "--undo")
    assert set(rows()) == {"yours"} and rows(hide="yours") == {}

    bench("models", "remove", "yours")
    assert "yours" not in read_cards(home / "home" / "cards")
    assert set(rows()) == {"yours"}


@pytest.mark.slow
def test_built_in_cards_stay_as_they_are(home):
    for words in (("remove", "resnet50"), ("rename", "resnet50", "x"), ("retire", "resnet50")):
        with pytest.raises(CardError, match="built-in card"):
            bench("models", *words)
    with pytest.raises(UnknownName, match="no registered model is called 'nobody'"):
        bench("models", "remove", "nobody")
    with pytest.raises(CardError, match="built-in card"):
        registered(home, "resnet50", 0, "--replace")
    registered(home, "mine")
    for name, message in (("resnet50", "exists already"), ("../mine", "letters, digits")):
        with pytest.raises(CardError, match=message):
            bench("models", "rename", "mine", name)
    assert "mine" in read_cards(home / "home" / "cards")


def test_a_run_in_which_nothing_ran_is_no_success(home):
    result = bench("run", "ideal-shape", "--suite", "adversarial", "-q")
    assert result.return_value == 1 and "nothing ran" in said(result)
