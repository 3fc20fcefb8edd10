"""`bench report` and `bench plot`: the leaderboard to look at."""

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import click

from benchmark.api.options import Option
from benchmark.cli.derive import command
from benchmark.cli.printing import put_out, say
from benchmark.loopback import LOOPBACK, open_server
from benchmark.report import figures, site
from benchmark.report.site import Handler, Live, watch
from benchmark.variables import read_settings


@command(site.report)
def report(
    *,
    out: Path,
    compare: Sequence[str],
    live: Annotated[bool, Option("Serve it over HTTP instead, made anew while a run goes on.")] = False,
    host: Annotated[str, Option("With --live; 0.0.0.0: everybody, without a login.")] = "127.0.0.1",
    port: Annotated[int, Option("With --live: 0 is any free one.", least=0, most=65535)] = 8000,
    every: Annotated[float, Option("With --live: seconds between looks.", least=1)] = 10.0,
    db: str | None,
) -> int:
    """The leaderboard as pages that open from disk: tables, figures, observers, comparisons, stimuli.

    Everything is drawn now: the pages need no connection and no JavaScript, and nothing is run."""
    if not live:
        built = site.report(out, compare=compare, db=db)
        pictures = f" and {built.pictured / 1e6:.1f} MB of thumbnails" if built.pictured else ""
        say(f"{out / 'index.html'}: {built.pages} pages, {built.written / 1e6:.1f} MB{pictures}")
        return 0
    pages, stop = Live(read_settings(db)), threading.Event()
    try:
        pages.refresh()
        server = open_server(host, port, partial(Handler, live=pages))
        if host not in LOOPBACK:
            say(f"everybody who can reach {host} can read this leaderboard.", err=True)
        say(f"http://{host}:{server.server_address[1]}/ (Ctrl-C ends it)")
        threading.Thread(target=watch, args=(pages, stop, every), daemon=True).start()
        server.serve_forever()
    except KeyboardInterrupt:
        say("ended", err=True)
    finally:
        stop.set()
        pages.close()
    return 0


@command(figures.plot)
def plot(
    *,
    out: Annotated[Path | None, Option("File to write: .svg, .pdf or .png.", "--out", "-o", kind="new file")] = None,
    column: Annotated[Literal["single", "double"], Option("Columns of a paper: 85 or 180 mm.")] = "double",
    **asked: Any,
) -> int:
    """One figure for a paper: as SVG, PDF or PNG (300 dpi). Without a name: the figures that this leaderboard has.

    The caption, with stimuli, n and intervals, is printed."""
    drawn = figures.plot(**asked)
    if asked["figure"] is None:
        put_out("\n".join(f"{known.name}  {known.title}" for known in drawn))
        return 0
    if out is None:
        raise click.UsageError("--out says where the figure goes: --out figure.svg, .pdf or .png.")
    drawn[0].save(out, column)
    say(f"{out}: {drawn[0].title}. {drawn[0].caption}")
    return 0
