"""`bench report` and `bench plot`: the leaderboard to look at."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import click

from benchmark.api.options import Db, Option
from benchmark.cli.derive import command
from benchmark.cli.printing import put_out, say
from benchmark.report.contents import read_contents
from benchmark.report.drawing import draw
from benchmark.report.figures import every_figure, find_figure
from benchmark.report.site import LOOPBACK, Live, build, open_server, watch
from benchmark.settings import Settings
from benchmark.variables import read_settings
from registry.files import write_whole


@command()
def report(
    *,
    out: Annotated[Path, Option("Folder to write.", "--out", "-o", metavar="DIR", kind="new folder")] = Path("report"),
    compare: Annotated[Sequence[str], Option("A page for these two (or A,people); repeatable.", metavar="A,B")] = (),
    live: Annotated[bool, Option("Serve it over HTTP instead, made anew while a run goes on.")] = False,
    host: Annotated[str, Option("With --live; 0.0.0.0: everybody, without a login.")] = "127.0.0.1",
    port: Annotated[int, Option("With --live: 0 is any free one.", least=0, most=65535)] = 8000,
    every: Annotated[float, Option("With --live: seconds between looks.", least=1)] = 10.0,
    db: Db = None,
) -> int:
    """The leaderboard as pages that open from disk: tables, figures, observers, comparisons, stimuli.

    Everything is drawn now: the pages need no connection and no JavaScript, and nothing is run.
    """
    settings = read_settings(db)
    if live:
        return _serve(settings, host, port, every)
    site = build(settings, out, [_pair(text) for text in compare])
    pictures = f" and {site.pictured / 1e6:.1f} MB of thumbnails" if site.pictured else ""
    say(f"{out / 'index.html'}: {site.pages} pages, {site.written / 1e6:.1f} MB{pictures}")
    return 0


def _pair(text: str) -> tuple[str, str]:
    a, comma, b = text.partition(",")
    if not comma or not a.strip() or not b.strip():
        raise click.BadParameter(f"'{text}' is no pair: expected A,B.", param_hint="--compare")
    return a.strip(), b.strip()


def _serve(settings: Settings, host: str, port: int, every: float) -> int:
    live = Live(settings)
    stop = threading.Event()
    try:
        live.refresh()
        server = open_server(live, host, port)
        if host not in LOOPBACK:
            say(f"everybody who can reach {host} can read this leaderboard.", err=True)
        say(f"http://{host}:{server.server_address[1]}/ (Ctrl-C ends it)")
        threading.Thread(target=watch, args=(live, stop, every), daemon=True).start()
        server.serve_forever()
    except KeyboardInterrupt:
        say("ended", err=True)
    finally:
        stop.set()
        live.close()
    return 0


@command()
def plot(
    figure: Annotated[str | None, Option("Without one: the figures that there are.")] = None,
    *,
    out: Annotated[Path | None, Option("File to write: .svg, .pdf or .png.", "--out", "-o", kind="new file")] = None,
    db: Db = None,
) -> int:
    """One figure for a paper: as SVG, PDF or PNG (300 dpi). Without a name: the figures that this leaderboard has.

    The caption, with stimuli, n and intervals, is printed.
    """
    contents = read_contents(read_settings(db))
    if figure is None:
        put_out("\n".join(f"{known.name}  {known.title}" for _, known in every_figure(contents)))
        return 0
    chosen = find_figure(contents, figure)
    if out is None:
        raise click.UsageError("--out says where the figure goes: --out figure.svg, .pdf or .png.")
    write_whole(out, draw(chosen, out.suffix.removeprefix(".").lower()))
    say(f"{out}: {chosen.title}. {chosen.caption}")
    return 0
