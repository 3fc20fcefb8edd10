"""Commands where a third party's packages are installed: in a process of its own, which answers all of them."""

import json
import os
import subprocess
import sys

COMMANDS = """
import contextlib, io, json, sys, traceback
from benchmark.cli import main

ended = []
for words in json.load(sys.stdin):
    sys.argv, code, texts = ["bench", *words], 0, (io.StringIO(), io.StringIO())
    with contextlib.redirect_stdout(texts[0]), contextlib.redirect_stderr(texts[1]):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
    ended.append((code, *(text.getvalue() for text in texts)))
json.dump(ended, sys.stdout)
"""


def bench_beside(packages, place, *commands, **environment):
    """How each `bench COMMAND` ended, from a working directory, with the packages of a folder installed."""
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        input=json.dumps([command.split() for command in commands]),
        env={**os.environ, "PYTHONPATH": str(packages), **environment},
        cwd=place,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [subprocess.CompletedProcess([], *one) for one in json.loads(done.stdout)]
