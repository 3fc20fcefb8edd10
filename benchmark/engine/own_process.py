"""A process of this machine that runs a function of this very program, whatever else is installed. Without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import benchmark

#: The folder that this very program is imported from.
PROGRAM = str(Path(benchmark.__file__).parents[1])
_CHILD = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from {0} import {1}; {1}()"
)


def start(function: Callable[[], None]) -> subprocess.Popen[bytes]:
    """A process that reads where to find modules, a pickled list, from its standard input, and calls the function.

    Until then modules of the working folder are none (-P): a `pickle.py` there, say.
    """
    code = _CHILD.format(function.__module__, function.__name__)
    return subprocess.Popen(  # noqa: S603 - this interpreter and our own words
        [sys.executable, "-P", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def own_output() -> IO[bytes]:
    """Standard output for replies alone: what a network's code prints goes to standard error."""
    own = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(own, "wb")
