"""Imports one after another: whose answers they are, and which count."""

import csv

import pytest

from benchmark import api
from benchmark.failures import TrialsError, UnknownName
from benchmark.report.contents import read_contents
from benchmark.stimuli.published_sources import ObserverName, known_source, resolve_observer
from benchmark.store import Store
from benchmark.variables import read_settings

NAMES = ("subj", "session", "trial", "rt", "object_response", "category", "condition", "imagename")
SHAPES = ("cat1-dog1.png", "cat2-dog2.png", "cat3-bear1.png", "cat4-bear2.png")


def said(letter, image):
    """What a letter stands for: s(hape), the cat, or t(exture)."""
    return "cat" if letter == "s" else image.split("-")[1][:-5]


def table(path, answers, observer="resnet50", session="1", images=SHAPES):
    """A cue-conflict table of answers by letter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(NAMES)
        for i, (letter, image) in enumerate(zip(answers, images, strict=True)):
            out.writerow([observer, session, i, "NaN", said(letter, image), "cat", "0", image])
    return path


@pytest.fixture
def db(tmp_path):
    return str(tmp_path / "results.db")


def biases(db):
    """Shape bias by observer, as every table of the board shows it."""
    with api.Selection(db).reading() as store:
        rows = store.latest_scores(suite="cue-conflict", metrics=["shape_bias"], conditions=[""])
    found = {}
    for row in rows:
        found.setdefault(row.observer, []).append(row.value)
    return found


@pytest.mark.slow
def test_the_newest_import_counts_also_when_it_was_there_before_and_none_that_was_cut_short(tmp_path, db, monkeypatch):
    good, faulty = (table(tmp_path / "cue-conflict_a.csv", "ssst"), table(tmp_path / "cue-conflict_b.csv", "tttt"))
    with monkeypatch.context() as patch:
        patch.setattr(Store, "put_import", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            api.import_trials(faulty, source="lab", db=db)
    assert biases(db) == {}
    other = table(tmp_path / "cue-conflict_c.csv", "ssst")
    assert api.import_trials(other, source="lab", experiment="stylized", db=db).notes == []
    reports = [api.import_trials(path, source="lab", db=db) for path in (good, faulty, good, good)]
    assert biases(db) == {"resnet50 (lab)": [0.75]}
    assert reports[-1].known == 1
    assert reports[1].notes == [
        "lab: this import takes the place of an earlier one of cue-conflict, of which 1 observers' answers do not "
        "count any more; import all tables of an experiment together"
    ]
    both = {"suite": "human-comparison", "trials_of": "resnet50 (lab)"}
    assert not api.export(api.Selection(db), **both, output=tmp_path / "trials.csv")
    text = (tmp_path / "trials.csv").read_text()
    assert text.count("resnet50,") == 8  # of both experiments
    report = api.import_trials(tmp_path / "trials.csv", source="lab", db=f"{db}2")
    assert (report.trials, sorted(report.observers)) == (8, ["cue-conflict", "stylized"])
    assert api.export(api.Selection(f"{db}2"), **both) == text
    with pytest.raises(UnknownName, match=r"no experiment is called 'nonsense'.*cue-conflict"):
        api.import_trials(good, source="lab", experiment="nonsense", db=db)
    assert len(api.trials(api.Selection(db), "resnet50 (lab)", "cue-conflict")) == 4


@pytest.mark.slow
def test_a_person_in_several_files_of_an_import_is_one_person(tmp_path, db):
    folder = tmp_path / "lab"
    for i, answers in enumerate(("ss", "st")):
        images = SHAPES[2 * i : 2 * i + 2]
        table(folder / f"cue-conflict_{i}.csv", answers, "subject-01", str(i + 1), images)
    table(folder / "cue-conflict_other.csv", "ssss", "subject-02")
    assert api.import_trials(folder, db=db).notes == []
    people = {"subject-01 (lab)": [0.75], "subject-02 (lab)": [1.0], "people (pooled)": [0.875]}
    assert biases(db) == people
    assert api.import_trials(folder, db=db).trials == 0
    # A part of an experiment takes the place of all of it.
    (note,) = api.import_trials(folder / "cue-conflict_other.csv", source="lab", db=db).notes
    assert "import all tables of an experiment together" in note
    assert biases(db) == {"subject-02 (lab)": [1.0]}


@pytest.mark.slow
def test_a_person_with_part_of_the_images_is_named_and_what_cannot_be_read_is_left_out(tmp_path, db, bench):
    for i in (1, 2):
        table(tmp_path / "lab" / f"cue-conflict_{i}.csv", "ssst", f"subject-0{i}")
    table(tmp_path / "lab" / "cue-conflict_3.csv", "ttt", "subject-03", images=SHAPES[:3])
    assert bench("import", "trials", tmp_path / "lab", "--db", f"{db}2").code == 0
    (tmp_path / "lab" / "cue-conflict_4.csv").write_text("nothing,of,use\n1,2,3\n")
    ended = bench("import", "trials", tmp_path / "lab", "--db", db)
    assert ended.code == 3 and "left out" in ended.err and "cue-conflict_4.csv" in ended.err
    assert "from lab" in ended.out
    assert "cue-conflict: subject-03 (lab) lacks 1 of 4 images that most of their source answered" in ended.out
    found = biases(db)
    assert found["people (pooled)"] == [0.75] and "subject-03 (lab)" not in found
    assert len(api.trials(api.Selection(db), "subject-03 (lab)", "cue-conflict")) == 3


def test_contradictions_within_one_import_name_both_files(tmp_path, db):
    table(tmp_path / "lab" / "cue-conflict_a.csv", "ssst")
    table(tmp_path / "lab" / "cue-conflict_b.csv", "ssss", session="2")
    with pytest.raises(TrialsError, match=r"cue-conflict_b\.csv: resnet50 \(lab\).*cue-conflict_a\.csv"):
        api.import_trials(tmp_path / "lab", db=db)
    with api.Selection(db).reading() as store:
        assert store.observers() == []


@pytest.mark.slow
def test_prompts_are_conditions_of_one_observer(tmp_path, db):
    """Its scores are of the usual prompt, whatever came first; the others stand beside them."""
    answers = {"CLS": "tttt", "None": "ssst", "a_photo_of_a_CLS.": "sstt"}
    clip = tmp_path / "vlm_shapebias" / "clip"
    clip.mkdir(parents=True)
    for prompt, letters in answers.items():
        answered = zip(letters, SHAPES, strict=True)
        lines = "".join(f"{image[:-4]},{said(letter, image)}\n" for letter, image in answered)
        (clip / f"clip_net_{prompt}.csv").write_text("image,pred_label\n" + lines)
    first = api.import_trials(clip / "clip_net_CLS.csv", db=db)
    assert first.observers == {"cue-conflict": ["net (vlm_shapebias)"]}
    assert biases(db) == {"net (vlm_shapebias)": [0.0]}
    api.import_trials(tmp_path / "vlm_shapebias", db=db)
    assert biases(db) == {"net (vlm_shapebias)": [0.75]}
    with api.Selection(db).reading() as store:
        rows = store.latest_scores(suite="cue-conflict", metrics=["shape_bias"])
    prompts = {row.condition: row.value for row in rows if row.condition.startswith("prompt")}
    assert prompts == {"prompt: {}": 0.0, "prompt: a photo of a {}.": 0.5}
    (main,) = (row for row in rows if not row.condition)
    assert "prompt: mean of ImageNet's 80 templates" in main.flags
    (answers,) = read_contents(read_settings(db)).answers  # the report's pages show the prompt of the board
    assert answers.right.tolist() == [[True, True, True, False]]
    assert api.import_trials(tmp_path / "vlm_shapebias", db=db).trials == 0


@pytest.mark.slow
def test_people_who_stand_apart_move_no_numbers_of_people(tmp_path, db):
    """One of error-consistency's people of 2018 saw the images of 2021."""
    for i in (1, 2):
        table(tmp_path / "human-trials" / f"cue-conflict_{i}.csv", "ssst", f"subject-0{i}")
    api.import_trials(tmp_path / "human-trials", db=db)
    before = biases(db)
    place = tmp_path / "error-consistency" / "colour" / "x.csv"
    table(place, "tttt", "subject-01")  # as an experiment whose people are the source's own
    assert str(resolve_observer("error-consistency", "subject-01", "colour", human=True)).endswith(
        "(error-consistency)"
    )
    assert [bool(known_source(name).apart) for name in ("error-consistency", "model-vs-human", "lab")] == [1, 0, 0]
    with pytest.MonkeyPatch.context() as patch:
        place_of = "benchmark.stimuli.published_sources.resolve_observer"
        patch.setattr(place_of, lambda source, name, *_, **__: ObserverName(source, name))
        api.import_trials(place, source="error-consistency", experiment="cue-conflict", db=db)
    after = biases(db)
    assert after["people (pooled)"] == before["people (pooled)"] == [0.75]
    assert after["subject-01 (error-consistency)"] == [0.0]


@pytest.mark.slow
def test_recipes_are_read_from_names_and_statements(tmp_path, db):
    """What was said last stays where nothing new is said; a person has none."""

    def recipes(db):
        with api.Selection(db).reading() as store:
            return {row.name: row.card.get("training") for row in store.observers()}

    lab, named = tmp_path / "lab", "sixteen21--salt-and-pepper-noise-multiple"
    for name in ("mine", named, "subject-01"):
        table(lab / f"cue-conflict_{name}.csv", "ssst", name)
    api.import_trials(lab, db=db)
    salt = ["noise(salt-and-pepper)"]
    assert recipes(db) == {"mine (lab)": None, "subject-01 (lab)": None, f"{named} (lab)": salt}
    report = api.import_trials(lab, training=["mine=standard"], db=db)  # known trials: only the card is new
    assert (report.trials, report.known) == (0, 3)
    assert recipes(db)["mine (lab)"] == ["standard"]
    api.import_trials(lab, training=["mine=noise(uniform)", f"{named} (lab)=contrast"], db=db)
    table(lab / "cue-conflict_more.csv", "st", "mine", "2", ("cat5-dog1.png", "cat6-dog2.png"))
    api.import_trials(lab, db=db)
    said = {"mine (lab)": ["noise(uniform)"], f"{named} (lab)": ["contrast"]}
    assert recipes(db) == {"subject-01 (lab)": None, **said}
