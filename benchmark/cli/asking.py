"""`bench ask`: people at a browser."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import click

from benchmark.api.options import Option
from benchmark.ask import serving
from benchmark.ask.answers import open_answers
from benchmark.ask.serving import AskHandler, Experiment, Flood
from benchmark.cli.derive import command
from benchmark.cli.printing import say
from benchmark.display import counted
from benchmark.loopback import LOOPBACK, open_server


@command(serving.ask)
def ask(
    *,
    out: Path | None,
    served: bool,
    answers: Annotated[Path | None, Option("With --serve: folder of the answers.", kind="new folder")] = None,
    host: Annotated[str, Option("With --serve; 0.0.0.0: other machines, too, with a token.")] = "127.0.0.1",
    port: Annotated[int, Option("With --serve: 0 is any free one.", least=0, most=65535)] = 8000,
    **asked: Any,
) -> int:
    if served and out is not None:
        raise click.UsageError("--out writes a file, --serve serves the page: give one.")
    if not served and answers is not None:
        raise click.UsageError("--answers is for --serve: a page from a file keeps its answers in the browser.")
    out = None if served else out or Path("ask.html")
    experiment = serving.ask(out=out, served=served, **asked)
    session = experiment.session
    procedure = session.procedure
    limit = f"{procedure.answer} ms" if procedure.answer else "no limit"
    say(
        f"{len(session.images)} images of {session.stimuli.name} for {procedure.presentation} ms, {limit} for the "
        f"answer: about {counted(max(1, round(experiment.minutes)), 'minute')} a person"
    )
    if not asked["consent"]:
        say("no --consent FILE: the page shows a general text that no ethics board has approved", err=True)
    if not experiment.boards:
        say(f"no suite shows images of the role '{session.experiment}': no board will have the answers", err=True)
    if out is None:
        serve(experiment, answers or Path(f"asked-{session.stimuli.name}"), host, port)
        return 0
    say(f"{out}: {len(experiment.html) / 1e6:.1f} MB. Open it in a browser; answers are saved there at the end, then:")
    say("bench import trials FOLDER-OF-ANSWERS --source NAME")
    return 0


def serve(experiment: Experiment, folder: Path, host: str, port: int) -> None:
    """Serve an experiment until Ctrl-C."""
    with open_answers(folder, experiment.session) as answers:
        token = "" if host in LOOPBACK else answers.token()
        page = experiment.html.encode()
        server = open_server(host, port, partial(AskHandler, html=page, answers=answers, flood=Flood(), token=token))
        if token:
            say(f"everybody who can reach {host} and has the whole address can take part.", err=True)
        say(f"http://{host}:{server.server_address[1]}/{f'?token={token}' if token else ''} (Ctrl-C ends it)")
        say(f"then: bench import trials {folder} --source NAME")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("ended", err=True)
