"""Files appear whole or not at all; what dead processes left behind goes, what living ones write stays."""

import subprocess
import sys
from pathlib import Path

import pytest

from registry.files import folder_in, locked, replacing, write_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole_or_stays(tmp_path):
    target = tmp_path / "deep" / "a.txt"
    write_whole(target, "é")
    assert target.read_bytes() == b"\xc3\xa9"
    with pytest.raises(KeyboardInterrupt), replacing(target) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"\xc3\xa9" and names(target.parent) == ["a.txt"]
    write_whole(target, b"new")
    assert target.read_bytes() == b"new" and names(target.parent) == ["a.txt"]


def test_folders_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    dead = tmp_path / ".work-dead"
    dead.mkdir()
    with folder_in(tmp_path, ".work-") as mine:
        assert not dead.exists()
        (mine / "file").write_text("x")
        with folder_in(tmp_path, ".work-"):
            assert (mine / "file").exists()
    assert names(tmp_path) == []


COUNT = """
import sys
from pathlib import Path
from registry.files import locked, write_whole

folder = Path(sys.argv[1])
for _ in range(50):
    with locked(folder):
        write_whole(folder / "count", str(int((folder / "count").read_text()) + 1))
"""


@pytest.mark.slow
def test_one_process_at_a_time(tmp_path):
    (tmp_path / "count").write_text("0")
    root = Path(__file__).parents[2]
    running = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path)], cwd=root) for _ in range(4)]
    assert [one.wait(60) for one in running] == [0] * 4
    with locked(tmp_path):
        assert (tmp_path / "count").read_text() == "200"
