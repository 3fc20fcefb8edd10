"""Processes that a run starts: this program's modules first, replies alone on standard output."""

import pickle
import sys

from benchmark.engine.own_process import PROGRAM, start

TALKATIVE = """
import os, sys
from benchmark.engine import own_process

def work():
    with own_process.own_output() as replies:
        print("said by Python")
        os.write(1, b"said by a library\\n")
        replies.write(own_process.PROGRAM.encode())
"""


def test_what_a_network_prints_is_no_reply(tmp_path, monkeypatch, capfd):
    (tmp_path / "talkative.py").write_text(TALKATIVE)
    (tmp_path / "benchmark").mkdir()  # another program of this name, later on the path
    (tmp_path / "benchmark" / "__init__.py").write_text("raise RuntimeError('another program')")
    (tmp_path / "here").mkdir()  # where the run is started, with a name of the standard library
    (tmp_path / "here" / "pickle.py").write_text("raise RuntimeError('no pickle')")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(str(tmp_path))
    import talkative

    process = start(talkative.work)
    replies, _ = process.communicate(pickle.dumps([PROGRAM, *sys.path]))
    assert (process.returncode, replies.decode()) == (0, PROGRAM)
    told = capfd.readouterr()
    assert told.out == "" and "said by Python" in told.err and "said by a library" in told.err
