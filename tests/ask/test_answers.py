"""Answers on the disk: each once, none of another's, none half."""

import errno
import os

import pytest
from ask.browsing import table
from ask.conftest import said, sent

from benchmark.ask.answers import Refused, open_answers
from benchmark.failures import BenchError
from benchmark.stimuli.trial_tables import read_tables


def rows(answers):
    return table(answers.folder / "answers-session-1.csv")


def test_an_answer_is_a_row_that_the_import_reads(answers):
    person, key = answers.begin()
    stored, refused = answers.add(
        sent(answers, person, key, said("1"), said("2", "na", rt=None), said("3", late_frames=2))
    )
    assert (stored, refused) == (["1", "2", "3"], {})
    first, second, third = rows(answers)
    expected = {"subj": "subject-01", "object_response": "dog", "rt": "0.5", "frames": "18/12/12"}
    assert first.items() >= (expected | {"stimulus_ms": "200", "degrees": "3", "distance_cm": "60"}).items()
    assert second["rt"] == "NaN" and third["status"] == "late"
    (file,) = read_tables(answers.folder).files
    assert len(file) == 2 and file.remarks[0] == "1 of 3 trials had a late frame: left out"
    assert file.remarks[1].startswith("1 of 3 images have no trial in time")


def test_an_answer_is_stored_once_and_its_image_is_shown_again_after_a_late_frame_alone(answers):
    person, key = answers.begin()
    for _ in range(3):
        assert answers.add(sent(answers, person, key, said(), said()))[0] == ["1", "1"]
    assert answers.add(sent(answers, person, key, said(answer="cat")))[1] == {"1": "answered otherwise before."}
    assert len(rows(answers)) == 1
    person, key = answers.begin()
    assert answers.add(sent(answers, person, key, said("1b")))[1] == {"1b": "no such trial."}
    given = said("1", late_frames=1), said("1b"), said("2"), said("2b")
    assert answers.add(sent(answers, person, key, *given)) == (["1", "1b", "2"], {"2b": "no such trial."})


def test_what_no_page_sends_is_refused_and_nobody_answers_for_another(answers):
    person, key = answers.begin()
    other, _ = answers.begin()
    for trial in ("17", "c1", "../1", "1bb", "=1", "<script>", "0", ""):
        assert answers.add(sent(answers, person, key, said(trial))) == ([], {trial: "no such trial."})
    for change in (
        {"trial": 1}, {"object_response": "<script>alert(1)</script>"}, {"object_response": "=1+1"},
        {"object_response": None}, {"object_response": ["dog"]}, {"object_response": "dog\n"}, {"rt": -1},
        {"rt": float("nan")}, {"rt": float("inf")}, {"rt": 1e300}, {"rt": "0.5"}, {"late_frames": True},
        {"late_frames": 0.5}, {"degrees": -1}, {"frames": "18/<b>"}, {"frames": "1/" * 40}, {"frames": "1\n2"},
        {"frames": "1\n"}, {"frames": ""}, {"frames": "١٨"}, {"reduced": 1}, {"category": "dog"}, {"mask": "none"},
    ):  # fmt: skip
        with pytest.raises(Refused, match=next(iter(change))):
            answers.add(sent(answers, person, key, said("2"), said(**change)))
    for change in (
        {"plan": "x"}, {"person": other}, {"person": 0}, {"person": -1}, {"person": True}, {"person": "1"},
        {"key": "x"}, {"key": None}, {"about": {"name": "1"}}, {"about": None}, {"answers": 3}, {"more": 1},
    ):  # fmt: skip
        with pytest.raises(Refused):
            answers.add(sent(answers, person, key, said(), **change))
    assert rows(answers) == []


def test_what_was_not_asked_of_a_person_is_not_stored(session, tmp_path):
    with open_answers(tmp_path / "asked", session(about=("age",))) as kept:
        person, key = kept.begin()
        kept.add(sent(kept, person, key, said(), about={"age": "31"}))
        assert rows(kept)[0]["age"] == "31"
        for about in ({"age": "Ann"}, {"age": "900"}, {"age": "31", "name": "Ann"}, {"age": 31}):
            with pytest.raises(Refused):
                kept.add(sent(kept, person, key, said("2"), about=about))


def test_a_line_that_was_cut_short_goes_and_whole_ones_stay(tmp_path, session):
    with open_answers(tmp_path, session()) as kept:
        person, key = kept.begin()
        kept.add(sent(kept, person, key, said("1"), said("2")))
    for name in ("answers-session-1.csv", "people.jsonl"):
        with (tmp_path / name).open("a") as file:
            file.write('subject-01,1,"3')
    with open_answers(tmp_path, session()) as again:
        assert [row["trial"] for row in rows(again)] == ["1", "2"]
        assert again.add(sent(again, person, key, said("1"), said("3")))[0] == ["1", "3"]
        assert [row["trial"] for row in rows(again)] == ["1", "2", "3"] and again.begin()[0] == 2


def test_a_full_disk_keeps_nothing_of_what_it_refuses(answers, monkeypatch):
    person, key = answers.begin()
    write = os.write

    def full(number, data):
        if len(data) > 10:
            write(number, data[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(number, data)

    before = (answers.folder / "answers-session-1.csv").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for call in (lambda: answers.add(sent(answers, person, key, said())), answers.begin):
            with pytest.raises(OSError, match="No space"):
                call()
    assert (answers.folder / "answers-session-1.csv").read_bytes() == before
    assert answers.add(sent(answers, person, key, said()))[0] == ["1"] and answers.begin()[0] == 2


def test_a_folder_is_of_one_plan_and_one_server(tmp_path, session):
    with open_answers(tmp_path, session()) as first:
        token = first.token
        with pytest.raises(BenchError, match="another server"), open_answers(tmp_path, session()):
            pass
    for _ in range(2):  # what was refused holds nothing
        with pytest.raises(BenchError, match="another plan"), open_answers(tmp_path, session(seed=1)):
            pass
    with open_answers(tmp_path, session()) as again:
        assert again.token == token
    (tmp_path / "plan-session-1.json").write_text("[")
    with pytest.raises(BenchError, match="cannot be read"), open_answers(tmp_path, session()):
        pass
