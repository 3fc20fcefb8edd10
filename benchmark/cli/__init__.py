"""The command `bench`. Commands are imported when they are used, so that `bench --help` is instant."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any, NoReturn

import click

#: name -> (module:attribute, help line shown without importing it). The gallery draws with a suite's own pictures, so
#: it stands above the suites.
COMMANDS = {
    "run": ("benchmark.cli.run:run", "Run suites on models, store every trial, print the ranking."),
    "rank": ("benchmark.cli.board:rank", "Ranked tables with intervals."),
    "show": ("benchmark.cli.observers:show", "Everything known of one observer."),
    "compare": ("benchmark.cli.observers:compare", "Paired tests between two observers."),
    "sweep": (
        "benchmark.cli.sweep:sweep",
        "Run every checkpoint of a training run, and draw its curves.",
    ),
    "watch": ("benchmark.cli.sweep:watch", "Run checkpoints as they appear in a folder."),
    "diff": (
        "benchmark.cli.diff:diff",
        "Is a new model worse than its base? Markdown for a pull request, exit code for CI.",
    ),
    "provenance": (
        "benchmark.cli.provenance:provenance",
        "Everything behind a number, and the command that makes it again.",
    ),
    "reproduce": (
        "benchmark.cli.provenance:reproduce",
        "Make a number again in a fresh leaderboard: does it come out?",
    ),
    "correlate": (
        "benchmark.cli.correlate:correlate",
        "How the suites hang together over all observers.",
    ),
    "consistency": (
        "benchmark.cli.consistency:consistency",
        "Error consistency (kappa) of two observers, or of all.",
    ),
    "transfer": (
        "benchmark.cli.transfer:transfer",
        "Trained on the row, tested on the column: does robustness carry over?",
    ),
    "gallery": (
        "gestaltbench.gallery_command:gallery",
        "Input gradients of several models side by side, as a PNG.",
    ),
    "export": (
        "benchmark.cli.exporting:export",
        "The ranked tables as csv, json, markdown or latex.",
    ),
    "report": ("benchmark.cli.report:report", "The leaderboard as pages that open from disk."),
    "plot": ("benchmark.cli.report:plot", "One figure, paper-ready, as SVG, PDF or PNG."),
    "serve": ("benchmark.cli.report:serve", "The report of a live leaderboard, in a browser."),
    "trials": ("benchmark.cli.trials:trials", "Stored trials as CSV or Parquet."),
    "import": (
        "benchmark.cli.trials:import_group",
        "Bring in trials of people and networks, or published scores.",
    ),
    "board": (
        "benchmark.cli.reference:board",
        "A leaderboard of published observers, for your network to stand in.",
    ),
    "rescore": ("benchmark.cli.trials:rescore", "Score stored trials again, without any model."),
    "db": (
        "benchmark.cli.db:db",
        "Leaderboards as data bases: merge, status, upgrade, check, vacuum.",
    ),
    "models": ("benchmark.cli.models:models", "List, show and check models."),
    "register": ("benchmark.cli.models:register", "Register a checkpoint as a model."),
    "probe": (
        "benchmark.cli.probe:probe",
        "Fit a classifier on a backbone's features and register it.",
    ),
    "data": ("benchmark.cli.data:data", "List, fetch, add, make and verify stimulus sets."),
    "suites": ("benchmark.cli.suites:suites", "List, show and check test suites."),
    "doctor": (
        "benchmark.cli.doctor:doctor",
        "What this installation can do, and what is missing.",
    ),
}


class ClosedPipe(Exception):
    """The reader of our output has enough (`bench ... | head`). No OSError: click would end with code 1."""


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-line help without importing them."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a closed pipe is no fault."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ClosedPipe from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of the table, then whatever was attached."""
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command on demand."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(import_module(module), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The command table, from the one-line helps."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Unknown commands are answered with close matches."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from benchmark.errors import unknown_name

            raise unknown_name("command", args[0], COMMANDS, "`bench --help` explains them.")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gestaltbench", prog_name="bench")
def cli() -> None:
    """Does my network see like a person, and does it break like a machine?

    Observers answer trials; trials are stored in results.db; scores are computed from stored trials; the
    leaderboard ranks scores. Exit codes: 0 done, 1 failed, 2 usage, 3 partly failed.
    """
    gc.enable()  # the command is loaded; `gestaltbench.command` does without it until here


def main() -> None:
    """Entry point of `bench`: a user's mistake is one line on stderr, never a traceback."""
    from benchmark.errors import BenchError

    _take_every_character()
    try:
        code = cli.main(standalone_mode=False)
    except BenchError as error:
        _fail(str(error), error.exit_code)
    except click.ClickException as error:
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
            error.show()  # the whole help is the answer
            sys.exit(2)
        _fail(_usage(error), 2)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted; what is stored stays, the same command goes on from there.", 130)
    except ClosedPipe:
        sys.stderr.close()
        sys.exit(0)
    except (
        SystemExit
    ) as error:  # of a model or a plug-in: the command line itself never gets here by one
        _fail(f"somebody's code called sys.exit({error.code!r}): a model's or a plug-in's.", 1)
    except OSError as error:  # a file that cannot be written, a disk that is full
        _fail(str(error), 1)
    gc.freeze()  # the end looks for no cycles in 100,000 rows: their memory goes with the process
    sys.exit(code if isinstance(code, int) else 0)


def _take_every_character() -> None:
    """What the terminal's encoding lacks (a curve in ASCII) is written as \\u2583, as Python does on stderr."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _usage(error: click.ClickException) -> str:
    """A mistake on the command line in one line, with where it is explained."""
    text = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "bench"
    return f"{text}. `{where} --help` explains the options."


def _fail(message: str, code: int) -> NoReturn:
    from benchmark.cli.printing import say

    say(f"bench: {message}", err=True)
    sys.exit(code)
