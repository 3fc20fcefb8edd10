import json
from dataclasses import replace

import numpy as np
import pytest
from set_checks import refused, write

from benchmark.stimuli import text_tables
from benchmark.stimuli.published_sources import prompt_order
from benchmark.stimuli.regenerate import trial_stimuli
from benchmark.stimuli.trial_tables import MARGIN, OPTIONAL, REQUIRED, TableHints, read_tables

HEADER = "subj,Session,trial,rt,object_response,category,condition,imagename"
SHORT = "subj,object_response,category,condition,imagename"


def table(path, *rows, header=HEADER):
    return write(path, "\n".join([header, *rows]) + "\n")


def row(t, r, c, name):
    return f"subject-01,1,{t},0.5,{r},{c},0,0001_s5n_s01_0_{c}_00_{name}"


GOOD = (row(1, "cat", "cat", "cat1-dog1.png"), row(2, "na", "dog", "dog1-cat2.png"))


def test_a_table_becomes_columns(tmp_path):
    path = table(tmp_path / "cue-conflict_subject-01_session_1.csv", *GOOD)
    (file,) = read_tables(path).files
    assert (file.path, file.experiment, file.observer) == (path, "cue-conflict", "subject-01")
    assert file.kind == "human" and len(file) == 2
    assert [*file.columns] == ["stimulus", "category", "response", "condition", "session", "trial", "rt"]
    assert file.columns["stimulus"].tolist() == ["cat1-dog1.png", "dog1-cat2.png"]
    assert file.columns["response"].tolist() == ["cat", "na"]
    assert file.columns["condition"].tolist() == ["", ""]
    assert file.columns["rt"].dtype == np.float64


PLAIN = (
    "IMAGENAME,Condition,category,Object_Response,SUBJ,rt\r\n"
    "cat1.png,NaN,Cat,chien,René,0.5\r\n\r\ncat2.png,,CAT,NA,René,\r\n"
)
SPELT = {
    "utf-8 with a mark": ("utf-8-sig", ","),
    "utf-16": ("utf-16", ";"),
    "utf-16 without a mark": ("utf-16-le", "\t"),
    "Windows": ("cp1252", "|"),
    "Excel in Europe": ("cp1252", ";"),
}


@pytest.mark.parametrize("kind", SPELT)
def test_any_order_case_separator_encoding_and_line_ends(kind, tmp_path):
    encoding, mark = SPELT[kind]
    text = PLAIN.replace(",", mark).replace("0.5", "0,5" if mark == ";" else "0.5")
    (tmp_path / "edge_net.csv").write_bytes(text.encode(encoding))
    (file,) = read_tables(tmp_path, TableHints(answers={"chien": "dog"})).files
    assert (file.kind, file.experiment, file.observer) == ("published", "edges", "René")
    assert (file.columns["session"].tolist(), file.columns["trial"].tolist()) == (["1", "1"], ["1", "2"])
    assert (file.columns["category"].tolist(), file.columns["response"].tolist()) == (["cat", "cat"], ["dog", "na"])
    np.testing.assert_array_equal(file.columns["rt"], [0.5, np.nan])


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_records_are_a_table(name, tmp_path):
    rows = [{"subj": "n", "object_response": "Cat", "category": "cat", "imagename": f"{i}.png"} for i in (1, 2)]
    rows = [{**row, "condition": None, "rt": 0.5} for row in rows]
    (tmp_path / name).write_text(json.dumps(rows) if name == "a.json" else "\n".join(map(json.dumps, rows)))
    (file,) = read_tables(tmp_path / name, TableHints(experiment="edges")).files
    assert file.columns["response"].tolist() == ["cat", "cat"] and file.columns["rt"].tolist() == [0.5, 0.5]


HOSTILE = {
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x81", "not a text|NUL"),
    "a NUL": (HEADER.encode() + b"\nsubject-01\0,1", "NUL"),
    "nothing": (b"\n\n", "an empty table|cannot be read"),
    "deep": (b"[" * 100_000, "cannot be read"),
    "escapes": (HEADER.encode() + b"\ns,1,1,1,\x1b[2J,cat,0,cat1.png", r"object_response is '\\x1b\[2j'"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_tables_are_one_error(kind, tmp_path, monkeypatch):
    data, message = HOSTILE[kind]
    path = tmp_path / ("edge.json" if kind == "deep" else "edge.csv")
    path.write_bytes(data)
    refused(message, read_tables, path)
    monkeypatch.setattr(text_tables, "MOST_ROWS", 1)
    refused("more than 1 rows", read_tables, table(tmp_path / "edge_x.csv", *GOOD))


def test_observers_and_eidolons_of_one_table_are_told_apart(tmp_path):
    rows = [f"{who},cat,cat,8-{k}-10,{i}.png" for who in ("a", "b") for i, k in enumerate((10, 3, 0, 3))]
    files = read_tables(table(tmp_path / "eidolon" / "x.csv", *rows, header=SHORT)).files
    assert [(f.experiment, f.observer, len(f)) for f in files] == [
        (name, who, n) for who in "ab" for name, n in (("eidolonI", 1), ("eidolonII", 2), ("eidolonIII", 1))
    ]  # fmt: skip
    bad = table(tmp_path / "eidolon" / "x.csv", "a,cat,cat,8-10,1.png", header=SHORT)
    refused("row 2.*not an eidolon condition", read_tables, bad)


def test_sessions_repeat_trials_and_are_kept_apart(tmp_path):
    for session in "12":
        rows = [line.replace(",1,", f",{session},", 1) for line in GOOD]
        table(tmp_path / "cue-conflict" / f"net_session-{session}.csv", *rows)
    files = read_tables(tmp_path).files
    assert [file.columns["session"][0] for file in files] == ["1", "2"]


@pytest.mark.parametrize(("rows", "message"), [
    ([GOOD[0], row(2, "zebra", "dog", "dog1-cat2.png")], "row 3: object_response is 'zebra'"),
    ([row(1, "cat", "zebra", "cat1-dog1.png")], "row 2: category is 'zebra'; expected one of air"),
    ([GOOD[0], GOOD[1], GOOD[0]], "row 4: subject-01 answered 'cat1-dog1.png'.*in row 2"),
    ([GOOD[0], "subject-01,1,2"], "row 3: category is ''"),
    ([GOOD[0].replace("0.5", "fast")], "row 2: rt is 'fast'"),
    ([row(1, "cat", "cat", "cat1.png")], "row 2: 'cat1.png' of 'cat'; expected"),
    ([GOOD[0].replace("subject-01", " ")], "row 2: 'subj' is empty"),
    ([], "no trials"),
])  # fmt: skip
def test_malformed_rows_are_named(tmp_path, rows, message):
    path = table(tmp_path / "cue-conflict" / "bad.csv", *rows)
    assert str(path) in refused(message, read_tables, tmp_path)


@pytest.mark.parametrize("column", SHORT.split(","))
def test_a_missing_column_is_named(column, tmp_path):
    path = table(tmp_path / "cue-conflict_x.csv", *GOOD, header=HEADER.replace(column, "other"))
    refused(f"row 1: no column '{column}'", read_tables, path)


@pytest.mark.parametrize("session", ["1", "2"])
def test_two_answers_of_one_source_are_refused(tmp_path, session):
    """Whichever session: what counts would hang on the order of files."""
    table(tmp_path / "cue-conflict" / "a.csv", *GOOD)
    other = row(2, "bear", "dog", "dog1-cat2.png").replace(",1,", f",{session},", 1)
    second = table(tmp_path / "cue-conflict" / "b.csv", other)
    said = refused("answered 'bear' to 'dog1-cat2.png'.*'na' in", read_tables, tmp_path)
    assert str(second) in said and "a.csv" in said
    apart = [read_tables(second.with_name(f"{name}.csv"), TableHints(source=name)).files for name in ("b", "a")]
    assert [str(one[0].who) for one in apart] == ["subject-01 (b)", "subject-01 (a)"]


def test_images_known_by_name(tmp_path):
    files = read_tables(table(tmp_path / "cue-conflict_x.csv", *GOOD)).files
    stimuli = trial_stimuli(files)
    assert stimuli.ids == ("cat1-dog1.png", "dog1-cat2.png") and stimuli.origin == "trial tables"
    assert (stimuli.labels["shape"].tolist(), stimuli.labels["texture"].tolist()) == (["cat", "dog"], ["dog", "cat"])
    other = table(tmp_path / "cue-conflict_y.csv", *(line.replace("t-01", "t-02") for line in GOOD[::-1]))
    assert trial_stimuli(read_tables(other).files).digest == stimuli.digest
    assert trial_stimuli(read_tables(tmp_path).files).digest == stimuli.digest
    refused("by name only", stimuli.decode, 0)
    for who, category in (("a", "cat"), ("b", "dog")):
        table(tmp_path / "edge" / f"{who}.csv", f"{who},cat,{category},0,one.png", header=SHORT)
    refused("category 'dog' here, 'cat' elsewhere", trial_stimuli, read_tables(tmp_path / "edge").files)


def test_image_and_label_are_a_table(tmp_path):
    """Free text in "response" is no answer; the image's name says the category, the place who answered and how."""
    root = tmp_path / "vlm_shapebias"
    path, header = root / "raw-data/vlm/vqa/20240205_205018_llava_1_5_7b.csv", "image,timestamp,response,pred_label,x"
    table(path, 'cat1-dog2,,"A cat, or two",dog,0.9', "dog1-dog2,,M,None,", header=header)
    (file,) = read_tables(root).files
    assert (file.experiment, file.kind) == ("cue-conflict", "published")
    assert str(file.who) == "llava_1_5_7b (vlm_shapebias)"
    assert file.prompt == "a question with the 16 categories as options"
    told = [file.columns[name].tolist() for name in ("stimulus", "category", "response")]
    assert told == [["cat1-dog2.png", "dog1-dog2.png"], ["cat", "dog"], ["dog", "na"]]


def test_the_prompts_of_one_observer_are_told_by_the_names_of_its_files(tmp_path):
    clip = tmp_path / "vlm_shapebias" / "clip"
    names = ("clip_RN50_openai_None", "clip_RN50_openai_a_photo_of_a_CLS.", "clip_RN50_openai_CLS",
             "EVA_448_None_None", "EVA_448_None_CLS")  # fmt: skip
    for name in names:
        write(clip / f"{name}.csv", "image,response,pred_label\ncat1-dog2,cat,cat\n")
    files = {(str(one.who), one.prompt) for one in read_tables(tmp_path).files}
    usual, photo, bare = "mean of ImageNet's 80 templates", "a photo of a {}.", "{}"
    assert files == {
        *(("RN50_openai (vlm_shapebias)", prompt) for prompt in (usual, photo, bare)),
        *(("EVA_448_None (vlm_shapebias)", prompt) for prompt in (usual, bare)),
    }
    ordered = sorted([bare, photo, "another", usual], key=lambda prompt: prompt_order("vlm_shapebias", prompt))
    assert ordered == [usual, photo, bare, "another"]


def test_a_file_that_does_not_fit_is_left_out_and_said(tmp_path):
    table(tmp_path / "edge_a_session-1.csv", "net,cat,cat,0,cat1.png", header=SHORT)
    bad = table(tmp_path / "edge_b_session-1.csv", "net,zebra,cat,0,cat2.png", header=SHORT)
    found = read_tables(tmp_path)
    assert [len(file) for file in found.files] == [1]
    assert list(found.unfit) == [bad] and "row 2: object_response is 'zebra'" in str(found.unfit[bad])
    # What is known to be no table is no failure.
    root = tmp_path / "vlm_shapebias"
    write(root / "prompt_search_results.csv", ",Model,accuracy\n")
    write(root / "inet_classifier" / "resnet50.csv", "image,pred_label\ncat1-dog2,cat\n")
    found = read_tables(root)
    assert not found.unfit and list(found.others.values()) == ["scores per prompt, no trials"]


def test_decision_margins_are_kept(tmp_path):
    rows, header = ("net,cat,cat,0,cat1.png,x,1.5", "net,dog,cat,0,cat2.png,x,"), f"{SHORT},filename,decision_margin"
    (file,) = read_tables(table(tmp_path / "edge_net_session-1.csv", *rows, header=header)).files
    np.testing.assert_array_equal(file.columns[MARGIN], [1.5, np.nan])
    bad = table(tmp_path / "edge_net_session-2.csv", rows[0].replace("1.5", "wide"), header=header)
    refused("row 2: decision_margin is 'wide'", read_tables, bad)


def test_a_table_of_ones_own(tmp_path):
    """Whatever its columns and its file are called."""
    path = write(tmp_path / "mine.csv", "file,answer\ncat1-dog2.png,dog\ncat2-cat1.png,cat\n")
    columns = {"file": "imagename", "answer": "object_response"}
    stated = TableHints(experiment="style-transfer-512-nomask", observer="my-net", source="lab", columns=columns)
    (file,) = read_tables(path, stated).files
    assert str(file.who) == "my-net (lab)" and file.experiment == "cue-conflict"
    assert file.columns["category"].tolist() == ["cat", "cat"]
    refused(r"no column 'subj'.*--observer NAME", read_tables, path, replace(stated, observer=None))
    unknown = replace(stated, columns={"name": "imagename"})
    refused("no column 'name', which --columns names", read_tables, path, unknown)
    other = write(tmp_path / "other.csv", "file,answer\nphoto.png,dog\n")
    refused(r"row 2: 'photo.png' names no category", read_tables, other, stated)


@pytest.mark.parametrize("text", ["file", "=imagename", "file=picture"])
def test_columns_are_stated_as_pairs(text):
    stated = ("--columns", (*REQUIRED, *OPTIONAL), "file=imagename")
    refused(r"expected THEIRS=OURS.*imagename", text_tables.stated_pairs, text, *stated)
    pairs = text_tables.stated_pairs("imagename=file, ANSWER=object_response", *stated)  # either order
    assert pairs == {"file": "imagename", "answer": "object_response"}
