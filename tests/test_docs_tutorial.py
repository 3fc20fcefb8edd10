"""The tutorial's commands print what the page shows; with BENCH_WRITE_DOCS=1 the page is written."""

import os
import re
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"
BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", flags=re.S)
#: Float noise, which is each processor's own.
NOISE = re.compile(r"\d(\.\d)?e-\d\d")


def commands(block: str) -> list[str]:
    """The commands of a block: each begins with "$ " and may be a here-document."""
    return [match[1] for match in re.finditer(r"^\$ (.*<<END\n(?:.*\n)*?END|.*)$", block, flags=re.M)]


@pytest.mark.release
def test_the_commands_of_the_tutorial_print_what_it_shows(tmp_path):
    page = PAGE.read_text(encoding="utf-8")
    places = {"BENCH_HOME": str(tmp_path / "home"), "BENCH_DB": "results.db", "COLUMNS": "100", "OMP_NUM_THREADS": "1"}

    def block_of(match: re.Match[str]) -> str:
        lines = []
        for command in commands(match[0]):
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=tmp_path,
                env=os.environ | places,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0 and "bench:" not in done.stderr, done.stderr
            lines += [f"$ {command}", *(line.rstrip() for line in done.stdout.splitlines())]
        return "\n".join(lines) + "\n"

    again = BLOCK.sub(block_of, page)
    if os.environ.get("BENCH_WRITE_DOCS"):
        PAGE.write_text(again, encoding="utf-8")
    assert NOISE.sub("noise", again) == NOISE.sub("noise", page) or os.environ.get("BENCH_WRITE_DOCS")
