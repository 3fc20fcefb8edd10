"""`bench report`, `bench plot` and `bench ask`: what is looked at in a browser or a paper."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import click

from benchmark.api.options import Option
from benchmark.ask import serving
from benchmark.ask.answers import open_answers
from benchmark.cli.derive import command, result_of
from benchmark.cli.printing import echo_data, echo_line
from benchmark.failures import UsageError
from benchmark.loopback import LOOPBACK, open_server
from benchmark.report import figures, site

report = result_of(site.report)(lambda built: echo_line(f"{built.start}: {built.size}"))


@command(figures.plot)
def plot(
    *,
    out: Annotated[Path | None, Option("Write this .svg, .pdf or .png file.", "--out", "-o", kind="new file")] = None,
    column: Annotated[Literal["single", "double"], Option("Choose a width of 85 or 180 mm.")] = "double",
    **asked: Any,
) -> None:
    """Draw one figure for a paper, as SVG, PDF or PNG.

    Without a name, the figures of this leaderboard are listed. The caption, with stimuli, n and intervals, is
    printed."""
    drawn = figures.plot(**asked)
    if asked["figure"] is None:
        echo_data("\n".join(f"{known.name}  {known.title}" for known in drawn))
        return
    if out is None:
        raise click.UsageError("--out is missing: give --out figure.svg, .pdf or .png.")
    drawn[0].save(out, column)
    echo_line(f"{out}: {drawn[0].title}. {drawn[0].caption}")


@command(serving.ask)
def ask(
    *,
    out: Path | None,
    served: bool,
    answers: Annotated[Path | None, Option("Keep answers in this folder (with --serve).", kind="new folder")] = None,
    host: Annotated[str, Option("Listen on this host; 0.0.0.0 admits others by token (with --serve).")] = "127.0.0.1",
    port: Annotated[int, Option("Listen on this port; 0 is any free one (with --serve).", least=0, most=65535)] = 8000,
    **asked: Any,
) -> None:
    if served and out is not None:
        raise UsageError("--out and --serve exclude each other: give one.")
    out = None if served or asked["jatos"] else out or Path("ask.html")
    experiment = serving.ask(out=out, served=served, **asked)
    session = experiment.session
    echo_line(str(experiment))
    if not asked["consent"]:
        echo_line("without --consent FILE, the page shows a general text, not approved by an ethics board", err=True)
    if not experiment.boards:
        echo_line(f"boards will not have the answers: no suite shows the role '{session.experiment}'", err=True)
    if out is not None:
        echo_line(f"{out}: {len(experiment.html) / 1e6:.1f} MB, open it in a browser, which saves the answers; then:")
        echo_line("bench import trials FOLDER-OF-ANSWERS --source NAME")
        return
    if asked["jatos"]:
        echo_line(f"{asked['jatos']}: import it in JATOS (Import study), export the results as plain text; then:")
        echo_line("bench import trials RESULTS.txt --source NAME")
        return
    with open_answers(answers or Path(f"asked-{session.stimuli.name}"), session) as kept:
        token = "" if host in LOOPBACK else kept.token
        html, completion = experiment.html.encode(), asked["completion"]
        own = {"answers": kept, "flood": serving.Flood(), "token": token, "completion": completion}
        handler = partial(serving.AskHandler, html=html, **own)
        server = open_server(host, port, handler)
        home = f"http://{host}:{server.server_address[1]}/"
        echo_data(f"{home}{token and f'?token={token}'} (Ctrl-C ends it); then:")
        echo_data(f"{home}people?token={kept.watch} shows only you how far each person is")
        echo_line(f"bench import trials {kept.folder} --source NAME")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            echo_line("ended", err=True)
