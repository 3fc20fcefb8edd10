"""`bench ask`: people at a browser."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from benchmark.api.options import Option
from benchmark.ask import serving
from benchmark.ask.answers import open_answers
from benchmark.cli.derive import command
from benchmark.cli.printing import say
from benchmark.errors import UsageError
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
        raise UsageError("--out writes a file, --serve serves the page: give one.")
    if not served and answers is not None:
        raise UsageError("--answers is for --serve: a page from a file keeps its answers in the browser.")
    out = None if served else out or Path("ask.html")
    experiment = serving.ask(out=out, served=served, **asked)
    session = experiment.session
    say(f"{experiment}, each for {session.procedure.presentation} ms")
    if not asked["consent"]:
        say("no --consent FILE: the page shows a general text that no ethics board has approved", err=True)
    if not experiment.boards:
        say(f"no suite shows images of the role '{session.experiment}': no board will have the answers", err=True)
    if out is not None:
        say(f"{out}: {len(experiment.html) / 1e6:.1f} MB, to be opened in a browser, which saves the answers; then:")
        say("bench import trials FOLDER-OF-ANSWERS --source NAME")
        return 0
    with open_answers(answers or Path(f"asked-{session.stimuli.name}"), session) as kept:
        token = "" if host in LOOPBACK else kept.token
        html, flood = experiment.html.encode(), serving.Flood()
        handler = partial(serving.AskHandler, html=html, answers=kept, flood=flood, token=token)
        server = open_server(host, port, handler)
        say(f"http://{host}:{server.server_address[1]}/{token and f'?token={token}'} (Ctrl-C ends it); then:")
        say(f"bench import trials {kept.folder} --source NAME")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("ended", err=True)
    return 0
