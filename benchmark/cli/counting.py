"""A bar for work that is counted, on a terminal; silence elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmark.cli.printing import safe_console


@contextmanager
def counted(what: str) -> Iterator[Callable[[int], Callable[[], None]]]:
    """`expect(total)` starts the bar and gives what is called after each piece."""
    from benchmark.cli.progress import Bars

    with Bars(safe_console(stderr=True)) as bars:

        def expect(total: int) -> Callable[[], None]:
            bars.expect(what, total)
            return lambda: bars.advance(what, 1)

        yield expect
