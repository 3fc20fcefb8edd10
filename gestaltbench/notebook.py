"""The progress of a run that Python started: a bar in a terminal and in a notebook, nothing in a script."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from importlib import import_module

from benchmark.cli.printing import safe_console
from benchmark.cli.progress import Heartbeat, reporting
from benchmark.engine.reporters import Reporter


@contextmanager
def progress(given: Reporter | None = None) -> Iterator[Reporter]:
    """Yield the reporter that was given, or one for where this process shows its output."""
    if given is not None:
        yield given
        return
    python = sys.modules.get("IPython")
    if python is None or getattr(python.get_ipython(), "kernel", None) is None:
        with reporting(quiet=not safe_console(stderr=True).is_terminal) as reporter:
            yield reporter
        return
    display = import_module("IPython.display").display
    # One output that changes: rich's own bars need ipywidgets in a notebook.
    shown = display(_drawn("", 0.0), raw=True, display_id=True)
    bar = Heartbeat(lambda line: shown.update(_drawn(line, bar.share), raw=True), {}, every=1.0)
    try:
        yield bar
    finally:
        shown.update(_drawn("", bar.share), raw=True)


def _drawn(line: str, share: float) -> dict[str, str]:
    return {"text/plain": line, "text/html": f'<progress value="{share:.3f}"></progress> {escape(line)}'}
