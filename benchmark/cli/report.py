"""`bench report`, `plot`, `serve`: the leaderboard to look at."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli.options import FiniteRange, db_option
from benchmark.cli.printing import put_out, say


@click.command()
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("report"),
    show_default=True,
    metavar="DIR",
    help="Folder to write; a report that is there is written over.",
)
@click.option(
    "--compare",
    "wanted",
    metavar="A,B",
    multiple=True,
    help="A page for these two observers (or A,people); repeatable. Default: the first network against the best of "
    "the standard recipe.",
)
@db_option
def report(out: Path, wanted: tuple[str, ...], db: str | None) -> int:
    """The leaderboard as pages that open from disk: tables, figures, observers, comparisons, stimuli.

    Everything is drawn now: the pages need no connection and no JavaScript, and nothing is run.
    """
    from benchmark.report.building import build
    from benchmark.variables import read_settings

    site = build(read_settings(db), out, [_pair(one) for one in wanted])
    pictures = f" and {site.pictured / 1e6:.1f} MB of thumbnails" if site.pictured else ""
    say(f"{out / 'index.html'}: {site.pages} pages, {site.written / 1e6:.1f} MB{pictures}")
    return 0


@click.command()
@click.argument("figure", required=False)
@click.option(
    "--out",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write: .svg, .pdf or .png.",
)
@db_option
def plot(figure: str | None, out: Path | None, db: str | None) -> int:
    """One figure for a paper: as SVG, PDF or PNG (300 dpi). Without a name: the figures that this leaderboard has.

    The caption, with stimuli, n and intervals, is printed.
    """
    from benchmark.report.contents import read_contents
    from benchmark.report.drawing import draw
    from benchmark.report.figures.every import every_figure, find_figure
    from benchmark.variables import read_settings
    from registry.files import write_whole

    contents = read_contents(read_settings(db))
    if figure is None:
        put_out("\n".join(f"{one.name}  {one.title}" for _, one in every_figure(contents)))
        return 0
    found = find_figure(contents, figure)
    if out is None:
        raise click.UsageError("--out says where the figure goes: --out figure.svg, .pdf or .png.")
    write_whole(out, draw(found, out.suffix.removeprefix(".").lower()))
    say(f"{out}: {found.title}. {found.caption}")
    return 0


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="0.0.0.0: everybody who can reach this machine.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0: any free one.",
)
@click.option(
    "--every",
    type=FiniteRange(1),
    default=10.0,
    show_default=True,
    help="Seconds between looks.",
)
@db_option
def serve(host: str, port: int, every: float, db: str | None) -> int:
    """The report of a live leaderboard over HTTP, made anew while a run goes on. Any two observers can be compared.

    Only this machine can read it unless --host says otherwise; there is no login.
    """
    import threading

    from benchmark.report.building import add_pair, build
    from benchmark.report.serving import LOOPBACK, Live, open_server, watch
    from benchmark.variables import read_settings

    settings = read_settings(db)
    live = Live(
        settings,
        lambda folder: build(settings, folder, live=True),
        lambda folder, a, b: add_pair(settings, folder, a, b),
    )
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


def _pair(text: str) -> tuple[str, str]:
    a, comma, b = text.partition(",")
    if not comma or not a.strip() or not b.strip():
        raise click.BadParameter(f"'{text}' is no pair: expected A,B.", param_hint="--compare")
    return a.strip(), b.strip()
