"""Experiments that a user adds as a YAML: their images, people's tables, and messages that name a line of the YAML."""

import csv
import random
import tarfile
from contextlib import nullcontext
from itertools import product
from pathlib import Path

import pytest
import yaml
from PIL import Image

from benchmark.contracts import Block, Policy
from benchmark.failures import StimuliError, TrialsError
from benchmark.identity import observation_key
from benchmark.stimuli.experiments import experiment_from, published_experiments, read_experiment
from benchmark.stimuli.fetch import add_experiment
from benchmark.stimuli.items import experiment_images
from benchmark.stimuli.trial_tables import TableHints, read_tables
from benchmark.store import open_store
from benchmark.testing.toys import toy_stimuli
from registry.labels import label_space
from suites.corruption import SUITE

GERMAN = {"Apfel": "apple", "Tasse": "mug", "Löffel": "spoon"}
COLUMNS = {"person": "Vpn", "image": "Bild", "answer": "Antwort", "condition": "Stufe", "kind": "Art", "rt": "RZ"}
FRAGMENTS = {
    "name": "fragments",
    "categories": {"apple": "n07742313", "mug": None, "spoon": ["n04597913"]},
    "stimuli": {"folder": "images", "names": "{condition}/{kind}/{category}/{image}"},
    "conditions": [100, 50],
    "control": 100,
    "factors": {"kind": ["collinear", "shuffled"]},
    "trials": {
        "columns": COLUMNS,
        "answers": {**GERMAN, "weiß nicht": "na"},
        "left_out": {"Block": "Übung"},
        "milliseconds": True,
    },
}  # fmt: skip


SHOWN = [*product((100, 50), ("collinear", "shuffled"), GERMAN.values())]


def write(folder, **changes):
    """The YAML of an experiment, with an image of each category under each condition."""
    file = folder / "fragments.yaml"
    file.write_text(yaml.safe_dump({**FRAGMENTS, **changes}, allow_unicode=True, sort_keys=False), encoding="utf-8")
    for level, kind, category in SHOWN:
        place = folder / "images" / str(level) / kind / category / f"{category}_1.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (level, len(kind), len(category))).save(place)
    return file


def scores_of(observer):
    with open_store("results.db", write=False) as store:
        return store.latest_scores(observers=[observer])


def german_table(folder):
    """A table of a German laboratory: semicolons, decimal commas, cp1252; without categories."""
    rng, table = random.Random(0), folder / "daten" / "fragments.csv"
    table.parent.mkdir(exist_ok=True)
    with table.open("w", encoding="cp1252", newline="") as file:
        out = csv.writer(file, delimiter=";")
        out.writerow(["Vpn", "Bild", "Antwort", "Stufe", "Art", "RZ", "Block"])
        for who in range(3):
            out.writerow([f"VP{who}", "apple_1.png", "Apfel", 100, "collinear", "1,5", "Übung"])
            for level, kind, category in SHOWN:
                said = {v: k for k, v in GERMAN.items()}[category] if rng.random() < 0.8 else "weiß nicht"
                out.writerow([f"VP{who}", f"{category}_1", said, level, kind, "512,5", "Test"])
    return table


def test_the_published_are_written_so():
    contrast, edges = published_experiments()["contrast"], published_experiments()["edges"]
    assert list(contrast.levels.items())[:2] == [("c100", 100.0), ("c50", 50.0)] and contrast.control == "c100"
    assert contrast.averaged == ("c50", "c30", "c15", "c10", "c05") and len(contrast.answers) == 16
    assert edges.single and edges.averaged == ("",) and published_experiments()["stylized"].role == "stylised"


DOCS = Path(__file__).parents[2] / "docs" / "experiments"


@pytest.mark.parametrize("file", [*DOCS.glob("*.yaml")], ids=lambda file: file.stem)
def test_the_published_examples_of_the_docs_are_read(file):
    own = read_experiment(file)
    assert len(own.answers) == 16 and own.citation and own.presentation.duration == (200,)
    if own.factors:
        found = own.completed(own.labels_of("mosaic/intensity_level_3/fruit/x.jpg"))
        assert found["condition"] == "3/mosaic" and len(own.levels) == 30


def test_images_and_people_of_a_laboratory(tmp_path):
    own = read_experiment(write(tmp_path))
    images = {(labels["condition"], name): labels["category"] for name, _, labels in experiment_images(own)}
    assert len(images) == 12 and images["50/shuffled", "mug_1.png"] == "mug"
    assert own.averaged == ("50/collinear", "50/shuffled") and own.levels["50/shuffled"] == 50
    (first, *_) = files = read_tables(german_table(tmp_path), TableHints(known={own.name: own})).files
    expected = [(f"subject-VP{i}", "human", 12) for i in range(3)]
    assert [(file.observer, file.kind, len(file)) for file in files] == expected
    assert first.columns["rt"].tolist() == [0.5125] * 12 and first.space == "fragments" and first.source == "fragments"
    shown = zip(first.columns["condition"].tolist(), first.columns["stimulus"].tolist(), strict=True)
    assert {*shown} == {*images} and {*first.columns["response"].tolist()} <= {*GERMAN.values(), "na"}


@pytest.mark.parametrize(("changes", "said"), [
    ({"conditions": [100, 60]}, r"line \d+ \(`conditions:`\): lacks '50/collinear'"),
    ({"control": 70}, r"line \d+ \(`conditions:`\): .*'70'"),
    ({"categories": ["apple", "mug"]}, r"line \d+ \(`categories:`\): lacks 'spoon'"),
    ({"compared": {"kind": ["collinear", "other"]}}, r"line \d+ \(`compared:`\)"),
    ({"stimuli": {"names": "(?P<category>["}}, r"`names:`.*a pattern"),
    ({"colour": 1}, r"no such field"),
    ({"trials": {"colums": {}}}, r"`colums:`.*no such field; fields are columns, answers, names"),
    ({"scale": "cubic"}, r"line \d+ \(`scale:`\)"),
    ({"space": "no-space", "categories": []}, "no built-in label space"),
    ({"stimuli": {"folder": "images", "names": "{category}.png"}}, r"line \d+ \(`names:`\): .* has another form"),
    ({"stimuli": {"folder": "nowhere"}}, r"line \d+ \(`folder:`\): there is no folder"),
])  # fmt: skip
def test_a_mistake_names_the_line_of_the_yaml(tmp_path, changes, said):
    with pytest.raises(StimuliError, match=said):
        list(experiment_images(read_experiment(write(tmp_path, **changes))))


def test_class_names_that_match_nothing_are_said(tmp_path, settings):
    names = {"apple": ["n07742313", "aple"], "mug": "coffee mug", "spoon": "spoonn"}
    add_experiment(write(tmp_path, categories=names), settings, (said := list[str]()).append)
    assert "(`categories:`): aple, spoonn: no class of a built-in" in said[-1]


@pytest.mark.parametrize(("trials", "said"), [
    ({"columns": {"person": "Name"}}, r"no column 'name', which .*line \d+ \(`columns:`\)"),
    ({"answers": {"Apfel": "apple"}}, r"object_response is 'weiß nicht'.*line \d+ \(`answers:`\)"),
    ({"left_out": {"Phase": "Übung"}}, r"no column 'Phase'; .*line \d+ \(`left_out:`\)"),
    ({"left_out": {}}, r"already in row \d+; .*`repeats: first`.*line \d+ \(`trials:`\)"),
])  # fmt: skip
def test_a_table_that_reads_otherwise_names_the_line(tmp_path, trials, said):
    own = read_experiment(write(tmp_path, trials={**FRAGMENTS["trials"], **trials}))
    with pytest.raises(TrialsError, match=said):
        read_tables(german_table(tmp_path), TableHints(known={own.name: own}))


@pytest.mark.parametrize(("repeats", "answer"), [("first", "b"), ("last", "a"), ("majority", "c")])
def test_several_answers_to_one_image(tmp_path, repeats, answer):
    own = experiment_from("own", {"categories": ["a", "b", "c"], "trials": {"repeats": repeats}}, str(write(tmp_path)))
    table = tmp_path / "own.csv"
    said = "".join(f"p,1.png,a,{word}\n" for word in "bcca")
    table.write_text(f"subj,imagename,category,object_response\n{said}")
    (file,) = read_tables(table, TableHints(known={own.name: own})).files
    assert file.columns["response"].tolist() == [answer]


@pytest.mark.slow
def test_confidence_and_ranked_answers_are_kept_and_shown(tmp_path, bench):
    """The first of ranked answers is the answer; both are scored beside it and travel in the archive."""
    columns = {"confidence": "Sicher", "choices": "Wahl"}
    row = {"name": "own", "categories": ["a", "b", "c"], "trials": {"columns": columns, "answers": {"B!": "b"}}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(row))
    lines = [f"{who},{i}.png,a,{sure},{said}" for who in "pq" for i, (sure, said) in enumerate(
        [(1, "a; b"), (3, "B!;a"), (5, "b;c"), ("", "")])]  # fmt: skip
    (tmp_path / "own.csv").write_text("\n".join(["subj,imagename,category,Sicher,Wahl", *lines]))
    bench("data", "add", tmp_path / "own.yaml")
    bench("import", "trials", tmp_path / "own.csv")
    rows = {row.metric: row for row in scores_of("subject-p (own)")}
    assert rows["own_accuracy"].value == 0.25 and rows["confidence"].value == 3
    assert (rows["choices_accuracy"].value, rows["choices_accuracy"].n) == (pytest.approx(2 / 3), 3)
    bench("export", "--experiment", "own", "-o", "own.tar.gz")
    with tarfile.open("own.tar.gz") as packed:
        assert b"subject-p,1,2,nan,b,a,3.0,b|a,,1.png" in packed.extractfile("own/trials/own.csv").read()
    (tmp_path / "other.csv").write_text("Wer,Was\np,1.png\n")
    assert "`--experiment own`" in bench("import", "trials", tmp_path / "other.csv").err
    (tmp_path / "own.csv").write_text("subj,imagename,category,Sicher,Wahl\np,1.png,a,1,a;fox\n")
    assert "choices has 'fox'" in bench("import", "trials", tmp_path / "own.csv").err


def test_cues_of_any_label_space_follow_from_exemplars(tmp_path):
    row = {"categories": ["fox", "elk"], "stimuli": {"names": "{shape_exemplar}-{texture_exemplar}.png"}}
    own = experiment_from("own-conflict", row, str(write(tmp_path)))
    twice = {"categories": ["a"], "stimuli": {"names": "{category}/{category}_{image}"}}
    again = experiment_from("twice", twice, own.file).labels_of
    assert again("a/a_1.png") == {"category": "a", "image": "1.png"} and not again("a/b_1.png")
    assert own.completed(own.labels_of("fox7-elk1.png")) == {
        "category": "fox", "shape": "fox", "texture": "elk", "shape_exemplar": "fox7", "texture_exemplar": "elk1",
    }  # fmt: skip


@pytest.mark.slow
def test_people_who_saw_different_images_count_on_what_a_pair_shares(tmp_path, bench):
    """Three people saw images 1-6, 4-9 and 7-12, all right but on image 5: pairs share three images or none."""
    row = {"name": "parts", "categories": ["cat", "dog"]}
    (tmp_path / "parts.yaml").write_text(yaml.safe_dump(row))
    lines = [
        f"p{who},{image}.png,cat,{'dog' if image == 5 else 'cat'}"
        for who in range(3)
        for image in range(3 * who, 3 * who + 6)
    ]
    (tmp_path / "parts.csv").write_text("\n".join(["subj,imagename,category,object_response", *lines]))
    bench("data", "add", tmp_path / "parts.yaml")
    assert "`partial: true` in" in bench("import", "trials", tmp_path / "parts.csv").out
    assert scores_of("people (among themselves)")[0].value is None
    (tmp_path / "parts.yaml").write_text(yaml.safe_dump({**row, "partial": True}))
    bench("import", "trials", tmp_path / "parts.csv")
    rows = {row.metric: row for row in scores_of("people (among themselves)")}
    assert rows["error_consistency"].n == 6
    assert "2 of 3 pairs share images: 3 to 3 of them" in rows["error_consistency"].flags
    assert rows["observed_consistency"].value == 1
    assert rows["ood_accuracy"].value == pytest.approx((5 / 6 + 5 / 6 + 1) / 3)


@pytest.mark.slow
def test_factors_give_curves_and_a_paired_difference(tmp_path, bench):
    """Collinear fragments are named at every level, shuffled ones at 100 alone: differences 0 and 1."""
    file = write(tmp_path, compared={"kind": ["collinear", "shuffled"]}, scale="log")
    table = tmp_path / "fragments.csv"
    said = [(c if (level, kind) != (50, "shuffled") else "na", level, kind, c) for level, kind, c in SHOWN]
    lines = [f"{who};{c}_1;{word};{level};{kind};250;Test" for who in "ab" for word, level, kind, c in said]
    table.write_text("\n".join(["Vpn;Bild;Antwort;Stufe;Art;RZ;Block", *lines]))
    bench("data", "add", file)
    bench("import", "trials", table)
    rows = {(row.metric, row.condition): row for row in scores_of("subject-a (fragments)")}
    assert (rows["kind_difference", "100"].value, rows["kind_difference", "50"].value) == (0, 1)
    assert rows["kind_difference", ""].n == 3 and rows["reaction_time", "50/shuffled"].value == 0.25
    assert "too few for a curve" in rows["threshold", "shuffled"].reason


@pytest.mark.slow
def test_an_archive_carries_images_and_answers_to_another_machine(tmp_path, bench, monkeypatch):
    assert "12 images" in bench("data", "add", write(tmp_path)).out
    assert "36 trials" in bench("import", "trials", german_table(tmp_path)).out
    before = bench("rank", "--suite", "human-comparison:fragments", "--all").out
    assert "subject-VP0 (fragments)" in before
    assert bench("export", "--experiment", "fragments", "-o", "fragments.tar.gz").out.endswith(
        "12 images, 36 trials of fragments\n"
    )
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "other"))
    added = bench("data", "add", "fragments.tar.gz").out
    folder = added.partition("bench import trials ")[2].splitlines()[0]
    bench("import", "trials", folder, "--db", "other.db")
    assert bench("rank", "--suite", "human-comparison:fragments", "--all", "--db", "other.db").out == before
    assert bench("export", "--experiment", "fragments", "-o", "x.zip").code == 2


def test_photographs_of_an_own_label_space_are_corrupted():
    """Their suite answers in the categories of the YAML; another mapping of them is another observation."""
    row = {"name": "kitchen", "role": "natural", "categories": {"mug": "n03063599", "spoon": "n04597913"}}
    suites = [
        SUITE.of_experiment(experiment_from("kitchen", one)) for one in (row, {**row, "categories": ["mug", "spoon"]})
    ]
    assert [(own.name, own.spaces) for own in suites] == [("corruption:kitchen", ("kitchen",))] * 2
    block = Block(stimuli=toy_stimuli("natural", "kitchen"), role="natural")
    assert len({observation_key("net", block, own, Policy()) for own in suites}) == 2
    assert SUITE.of_experiment(experiment_from("own", {"categories": ["a", "b"]})) is None
    space = label_space("imagenet1k").grouping("kitchen", {"mug": ("n03063599",), "spoon": (), "key": ("nothing",)})
    assert space.categories == ("mug",) and space.indices == ((504,),)


def test_kinds_of_a_category_stand_for_it():
    """What WordNet has below a category's id; of dog and animal the more special."""
    space = label_space("imagenet1k")
    named = {"dog": ("n02084071",), "animal": ("n00015388",), "fish": ("n01440764",), "sky": ("n09436708",)}
    dogs, animals, fish = space.grouping("own", named).indices
    assert len(dogs) == 118 and {space.words[i] for i in dogs} >= {"whippet", "dalmatian, coach dog, carriage dog"}
    assert fish == (0,) and 1 in animals and not {*dogs} & {*animals}
    assert space.grouping("own", named).categories[2] == "fish"


def test_answers_of_the_browser_are_read_with_their_checks(tmp_path):
    own, table = read_experiment(write(tmp_path)), tmp_path / "answers-session-1.csv"
    fixed = {"subj": "subject-01", "session": "1", "experiment": "fragments", "set": "fragments", "space": "fragments"}
    fixed |= {"rt": "500", "digest": "d", "mask": "1", "object_response": "mug", "category": "mug"}
    rows = [("1", "mug_1.png", "50/shuffled", "ok"), ("c1", "check", "", "check"), ("p1", "practice", "", "practice")]
    with table.open("w", newline="") as file:
        out = csv.DictWriter(file, [*fixed, "trial", "imagename", "condition", "status"])
        out.writeheader()
        out.writerows(fixed | dict(zip(out.fieldnames[-4:], row, strict=True)) for row in rows)
    (file,) = read_tables(table, TableHints(known={own.name: own})).files
    assert file.columns["rt"].tolist() == [500]
    assert file.columns["stimulus"].tolist() == ["mug_1.png"] and file.columns["condition"].tolist() == ["50/shuffled"]


def test_tables_that_name_images_otherwise_say_how(tmp_path):
    columns = "subj,imagename,condition,kind,object_response\n"
    for names, said in (("#_s{who}_{image}", ""), ("", r"'0001_s1_mug_1\.png' is not an image of .*names:")):
        own = read_experiment(write(tmp_path, trials={"names": names}))
        (table := tmp_path / "fragments.csv").write_text(f"{columns}p,0001_s1_mug_1.png,50,shuffled,mug\n")
        with pytest.raises(TrialsError, match=said) if said else nullcontext():
            (file,) = read_tables(table, TableHints(known={own.name: own})).files
            assert file.columns["stimulus"].tolist() == ["mug_1.png"] and file.columns["category"].tolist() == ["mug"]
