"""Tables of published scores: what is read, and what is refused with one clear error."""

import json
import re
from dataclasses import replace

import pytest
from set_checks import refused, write

from benchmark import plugins
from benchmark.stats import wilson
from benchmark.stimuli.published_sources import ObserverName
from benchmark.stimuli.score_tables import ReportedScore, check_names, read_scores

OURS = {metric.name: metric for metric in plugins.find_suites().suites["cue-conflict"].metrics}


@pytest.mark.parametrize(("name", "text", "said"), [
    ("t.csv", "observer,metric\na,acc\n", "field 'value' is missing"),
    ("t.csv", "observer,metric,value,colour\na,acc,1,red\n", "field 'colour'"),
    ("t.csv", "observer,metric,value\na,acc,1,2\n", "Expected 3 fields in line 2"),
    ("t.csv", "observer,metric,value\n,acc,1\n", "expected an observer and a metric"),
    ("t.csv", "observer,metric,value\na\x1b[2J,acc,1\n", "all in plain text"),
    ("t.csv", "observer,metric,value\n", "no scores"),
    ("t.csv", "observer,metric,value,low,high\na,acc,1,0,0.5\n", "expected low <= value"),
    ("t.csv", "observer,metric,value,level\na,acc,1,95\n", "'level' is 95"),
    ("t.csv", "observer,metric,value,n\na,acc,1,2.5\n", "field 'n': expected"),
    ("t.csv", "observer,metric,value\na,acc,1\na,acc,2\n", "two values of 'acc': 1.0 and 2.0"),
    ("t.json", '{"a": 1}', "{observer: {metric: value}}"),
    ("t.json", '{"a": {"acc": 1, "acc": 2}}', "'acc' appears twice"),
    ("t.json", "3", "expected a list of records"),
    ("t.json", "[" * 100000, "cannot be read"),
    ("t.csv", "observer,metric,value\na,acc,3\nb,shape_bias,7\n", "t.csv, row 3: 'shape_bias' is 7; it is 0 to 1."),
    ("t.json", '{"b": {"shape_bias": 7}}', "t.json, b, shape_bias: 'shape_bias' is 7; it is 0 to 1."),
])  # fmt: skip
def test_what_does_not_fit_is_one_error(name, text, said, tmp_path):
    message = refused(re.escape(said), read_scores, write(tmp_path / name, text), metrics=OURS)
    assert name in message and "\x1b" not in message


def test_our_metrics_names_are_taken_unless_it_is_the_same_quantity(tmp_path):
    refused("one CSV or JSON file at a time", read_scores, tmp_path)
    score = ReportedScore(observer=ObserverName("lab", "a"), metric="shape_bias", value=0.2)
    suites = {"cue-conflict": ["shape_bias"]}
    refused("--same shape_bias", check_names, [score], suites, ())
    check_names([score], suites, ("shape_bias",))
    refused("no suite is called 'cue'", check_names, [replace(score, suite="cue")], suites, ("shape_bias",))


@pytest.fixture
def masking(tmp_path):
    folder = tmp_path / "critical-band-masking"
    tables = {
        "sb_scores.json": {"net": [0.2] * 8 + [0.6] * 8, "idle": [0.0] * 16},
        "baccs.json": {"net": 0.8, "idle": 0.001},
        "baccs_eps0.1_remaining.json": {"net": 0.7, "late": 0.6},
        "waccs_eps0.05.json": {"net": 0.41},
        "waccs_eps0.05_all.json": {"net": 0.4, "idle": 0.0},
        "solomon_net_accuracies_2023.json": {
            "noise0freq0": [1, 1, 1, 0], "noise0.16freq3": [1, 0], "noise0.02freq3": [1, 1], "noise0.02freq4": [0],
        },
    }  # fmt: skip
    for name, content in tables.items():
        write(folder / name, json.dumps(content))
    return folder


def test_critical_band_masking_goes_in_under_names_of_its_own(masking):
    found = read_scores(masking)
    values = {(s.observer.name, s.metric, s.condition): (s.value, s.n) for s in found if s.observer.name != "idle"}
    noise = {key[2]: values.pop(key) for key in [*values] if key[1] == "accuracy_in_band_noise"}
    assert values == {
        ("net", "mean_shape_fraction", ""): (0.4, 1200), ("net", "accuracy_before_attack", ""): (0.8, 0),
        ("late", "accuracy_before_attack", ""): (0.6, 0),
        ("net", "accuracy_after_l2_on_normalised", "eps 0.05"): (0.4, 0),
    }  # fmt: skip
    assert noise == {
        "": (0.6, 5), "without noise": (0.75, 4), "band 3": (0.75, 4), "band 4": (0.0, 1),
        "strength 0.02": (2 / 3, 3), "strength 0.16": (0.5, 2), "band 3, strength 0.16": (0.5, 2),
        "band 3, strength 0.02": (1.0, 2), "band 4, strength 0.02": (0.0, 1),
    }  # fmt: skip


@pytest.mark.parametrize(("name", "content", "said"), [
    ("sb_scores.json", {"net": [0.5] * 15}, "cannot reshape"),
    ("baccs.json", {"net": "high"}, "could not convert"),
    ("solomon_net_accuracies_2.json", {"noise1": [1]}, "a name like 'noise0.04freq2'"),
    ("solomon_net_accuracies_2.json", {"noise0.1freq1": []}, "division by zero|as published"),
])  # fmt: skip
def test_a_file_that_is_not_as_published_is_named(name, content, said, masking):
    write(masking / name, json.dumps(content))
    assert name in refused(said, read_scores, masking)
    write(masking / name, json.dumps({}))
    write(masking / "baccs.json", json.dumps({"net": 81.3}))
    refused("'net': accuracy_before_attack is 81.3; expected a share", read_scores, masking)


def test_entries_of_robustbench_under_names_of_their_own(tmp_path):
    """A list under attacks, with an attack of its own, and one under corruptions."""
    folder = tmp_path / "robustbench"
    for name, entry in {
        "Linf/Own.json": {"clean_acc": "81.48", "autoattack_acc": "58.62", "external": "58.50", "eps": "4/255"}
        | {"footnote": "Its own attack.\n", "unreliable": True},
        "Linf/Plain.json": {"clean_acc": "76.52", "autoattack_acc": "0.0", "external": "", "eps": "4/255"},
        "corruptions/Plain.json": {"clean_acc": "76.72", "corruptions_acc": "39.48", "corruptions_mce": "76.38"}
        | {"corruptions_acc_3d": None, "eps": None, "footnote": None},
    }.items():
        write(folder / name, json.dumps(entry))
    found = read_scores(folder)
    values = {(s.observer.name, s.suite, s.metric): (s.value, s.n) for s in found}
    assert values == {
        ("Own", "adversarial", "clean_on_5000"): (pytest.approx(0.8148), 5000),
        ("Own", "adversarial", "autoattack_linf_4"): (pytest.approx(0.5862), 5000),
        ("Own", "adversarial", "strongest_known_linf_4"): (pytest.approx(0.585), 5000),
        ("Plain", "adversarial", "clean_on_5000"): (pytest.approx(0.7652), 5000),
        ("Plain", "adversarial", "autoattack_linf_4"): (0, 5000),
        ("Plain", "adversarial", "strongest_known_linf_4"): (0, 5000),
        ("Plain", "corruption", "natural_of_entry"): (pytest.approx(0.7672), 5000),
        ("Plain", "corruption", "imagenet_c_accuracy"): (pytest.approx(0.3948), 0),
        ("Plain", "corruption", "imagenet_c_mce"): (pytest.approx(76.38), 0),
    }
    own = next(s for s in found if s.observer.name == "Own" and s.metric == "autoattack_linf_4")
    assert (own.low, own.high) == pytest.approx(wilson(2931, 5000))
    assert own.remarks[1:] == ("Its own attack.", "trust: RobustBench marks its evaluation as unreliable")
    assert "5,000 images" in own.remarks[0]
    assert found[0].observer.source == "robustbench"
    for change, words in (({"clean_acc": "much"}, "expected percent"), ({"eps": "8/255"}, "expected 4/255")):
        write(folder / "Linf/Plain.json", json.dumps({"clean_acc": "1", "eps": "4/255", **change}))
        assert "Linf/Plain.json" in refused(words, read_scores, folder)


def test_tables_with_a_row_per_network_are_read_by_column_and_size(tmp_path):
    write(tmp_path / "results-imagenet-a.csv", "model,img_size,top1,top5\na,224,20.0,50\na,288,40.0,60\n")
    first, second = read_scores(tmp_path)
    for score, who, value in ((first, "a@224", 0.2), (second, "a@288", 0.4)):
        assert (score.observer.name, score.metric, score.value, score.n) == (who, "timm_a", value, 7500)
    assert (first.low, first.high) == pytest.approx(wilson(1500, 7500))
    folder = tmp_path / "own"
    accuracies = "".join(f"top1_acc/{name}," for name in ("imagenet-c", "fog_2", "perlin_noise_5", "sketch"))
    head = f"model,{accuracies}shape-bias,metric/erf/area\n"
    write(folder / "benchmark.csv", head + "a,50,60,70,80,0.25,9\nb,,,,,0.5,9\n")
    assert {(s.observer.name, s.metric, s.condition): s.value for s in read_scores(folder)} == {
        ("a", "cells_of_imagenet_c", ""): 0.5, ("a", "cells_of_imagenet_c", "fog 2"): 0.6,
        ("a", "cells_of_imagenet_cbar", "perlin_noise 5"): 0.7, ("a", "experiments_of_recipe", "sketch"): 0.8,
        ("a", "shape_bias_of_recipe", ""): 0.25, ("b", "shape_bias_of_recipe", ""): 0.5,
    }  # fmt: skip
    write(folder / "benchmark.csv", head + "a,50,160,70,80,0.25,9\n")
    assert "row 2, 'top1_acc/fog_2'" in refused("expected percent, got '160'", read_scores, folder)
