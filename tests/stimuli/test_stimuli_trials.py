import numpy as np
import pytest
from refusals import refused

from benchmark.errors import TrialsError
from benchmark.stimuli.regenerate import trial_stimuli
from benchmark.stimuli.trials import COLUMNS, read_trials

HEADER = "subj,Session,trial,rt,object_response,category,condition,imagename"
ROW = "subject-01,1,{t},0.5,{r},{c},{k},0001_s5n_s01_0_{c}_00_{name}"


def table(path, *rows, header=HEADER):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def row(t, r, c, name, k="0"):
    return ROW.format(t=t, r=r, c=c, k=k, name=name)


GOOD = (row(1, "cat", "cat", "cat1-dog1.png"), row(2, "na", "dog", "dog1-cat2.png"))


def test_a_table_becomes_columns(tmp_path):
    path = table(tmp_path / "cue-conflict_subject-01_session_1.csv", *GOOD)
    (file,) = read_trials(path)
    assert (file.path, file.experiment, file.observer, file.kind) == (
        path, "cue-conflict", "subject-01", "human",
    )  # fmt: skip
    assert tuple(file.columns) == COLUMNS and len(file) == 2
    assert file.columns["stimulus"].tolist() == ["cat1-dog1.png", "dog1-cat2.png"]
    assert file.columns["response"].tolist() == ["cat", "na"]
    assert file.columns["condition"].tolist() == ["", ""]
    assert file.columns["rt"].dtype == np.float64


def test_any_order_of_columns_byte_marks_and_line_ends(tmp_path):
    path = tmp_path / "edge_net_session-1.csv"
    path.write_bytes(
        b"\xef\xbb\xbfIMAGENAME,Condition,category,Object_Response,SUBJ\r\n"
        b"cat1.png,NaN,cat,dog,net\r\n\r\ncat2.png,NaN,cat,cat,net\r\n"
    )
    (file,) = read_trials(path)
    assert file.kind == "published" and file.experiment == "edges"
    assert file.columns["session"].tolist() == ["1", "1"]
    assert file.columns["trial"].tolist() == ["1", "2"]
    assert np.isnan(file.columns["rt"]).all()


def test_observers_and_eidolons_of_one_table_are_told_apart(tmp_path):
    head = "subj,object_response,category,condition,imagename"
    rows = [f"{who},cat,cat,8-{k}-10,{i}.png" for who in ("a", "b") for i, k in enumerate((10, 3, 0, 3))]
    files = read_trials(table(tmp_path / "eidolon" / "x.csv", *rows, header=head))
    assert [(f.experiment, f.observer, len(f)) for f in files] == [
        (name, who, n) for who in "ab" for name, n in (("eidolonI", 1), ("eidolonII", 2), ("eidolonIII", 1))
    ]  # fmt: skip
    with pytest.raises(TrialsError, match=r"row 2.*no eidolon condition"):
        read_trials(table(tmp_path / "eidolon" / "x.csv", "a,cat,cat,8-10,1.png", header=head))


def test_sessions_repeat_trials_and_are_kept_apart(tmp_path):
    for session in "12":
        rows = [line.replace(",1,", f",{session},", 1) for line in GOOD]
        table(tmp_path / "cue-conflict" / f"net_session-{session}.csv", *rows)
    files = read_trials(tmp_path)
    assert [file.columns["session"][0] for file in files] == ["1", "2"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([GOOD[0], row(2, "zebra", "dog", "dog1-cat2.png")], "row 3: object_response is 'zebra'"),
        ([GOOD[0], row(2, "NA", "dog", "dog1-cat2.png")], "row 3: object_response is 'NA'.*'na'"),
        ([row(1, "cat", "zebra", "cat1-dog1.png")], "row 2: category is 'zebra'; expected one of air"),
        ([GOOD[0], GOOD[1], GOOD[0]], "row 4: subject-01 answered 'cat1-dog1.png'.*in row 2"),
        ([GOOD[0], "subject-01,1,2"], "row 3: 3 fields"),
        ([GOOD[0].replace("0.5", "fast")], "row 2: rt is 'fast'"),
        ([row(1, "cat", "cat", "cat1.png")], "row 2: 'cat1.png' of 'cat'; expected"),
        ([GOOD[0].replace("subject-01", " ")], "row 2: 'subj' is empty"),
        ([], "no trials"),
    ],
)
def test_malformed_rows_are_named(tmp_path, rows, message):
    path = table(tmp_path / "cue-conflict" / "bad.csv", *rows)
    assert str(path) in refused(message, read_trials, tmp_path)


def test_a_missing_column_is_named(tmp_path):
    for column in ("subj", "object_response", "category", "condition", "imagename"):
        path = table(tmp_path / "cue-conflict_x.csv", *GOOD, header=HEADER.replace(column, "other"))
        refused(f"row 1: no column '{column}'", read_trials, path)


@pytest.mark.parametrize("session", ["1", "2"])
def test_two_answers_of_one_source_are_refused(tmp_path, session):
    """Whichever session: what counts would hang on the order of files."""
    table(tmp_path / "cue-conflict" / "a.csv", *GOOD)
    other = row(2, "bear", "dog", "dog1-cat2.png").replace(",1,", f",{session},", 1)
    second = table(tmp_path / "cue-conflict" / "b.csv", other)
    with pytest.raises(TrialsError, match=r"answered 'bear' to 'dog1-cat2.png'.*'na' in") as error:
        read_trials(tmp_path)
    assert str(second) in str(error.value) and "a.csv" in str(error.value)
    apart = [read_trials(second, source="b"), read_trials(second.with_name("a.csv"), source="a")]
    assert [str(one[0].named) for one in apart] == ["subject-01 (b)", "subject-01 (a)"]


def test_images_known_by_name(tmp_path):
    files = read_trials(table(tmp_path / "cue-conflict_x.csv", *GOOD))
    stimuli = trial_stimuli(files)
    assert stimuli.ids == ("cat1-dog1.png", "dog1-cat2.png")
    assert stimuli.labels["shape"].tolist() == ["cat", "dog"]
    assert stimuli.labels["texture"].tolist() == ["dog", "cat"]
    assert stimuli.origin == "trial tables" and stimuli.space == "geirhos16"
    other = table(tmp_path / "cue-conflict_y.csv", *(line.replace("t-01", "t-02") for line in GOOD[::-1]))
    assert trial_stimuli(read_trials(other)).digest == stimuli.digest
    assert trial_stimuli(read_trials(tmp_path)).digest == stimuli.digest
    refused("by name only", stimuli.decode, 0)


def test_tables_that_disagree_are_refused(tmp_path):
    head = "subj,object_response,category,condition,imagename"
    table(tmp_path / "edge" / "a.csv", "a,cat,cat,0,one.png", header=head)
    table(tmp_path / "edge" / "b.csv", "b,cat,dog,0,one.png", header=head)
    files = read_trials(tmp_path)
    refused("category 'dog' here, 'cat' elsewhere", trial_stimuli, files)
    table(tmp_path / "sketch" / "c.csv", "c,cat,cat,0,one.png", header=head)
    refused("one experiment, got edges, sketch", trial_stimuli, read_trials(tmp_path))
