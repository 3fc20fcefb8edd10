"""The command `bench`, which imports a command when it is used."""

import gc
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import yaml

from benchmark.version import __version__

if TYPE_CHECKING:
    from registry.user_errors import Remedy

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TABLE = yaml.load((Path(__file__).parent / "commands.yaml").read_bytes(), Loader=_LOADER)  # noqa: S506 - safe
COMMANDS: Mapping[str, Sequence[str]] = _TABLE["commands"]  # command -> module, help line
#: What other programs call a command of ours -> its words.
MEANT = {name: tuple(words.split()) for words, names in _TABLE["meant"].items() for name in names}
NEXT: Sequence[str] = _TABLE["next"]
#: Command -> loader of a sub-command from a higher layer.
ADDED: dict[str, Callable[[], click.Command]] = {}


class ClosedPipe(Exception):
    """The reader of our output has gone (`bench ... | head`). Not an OSError: click would end with code 1."""


class _LazyGroup(click.Group):
    """A group that knows its commands' names and one-line help without importing them."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ClosedPipe from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        from benchmark.cli.derive import Command

        module = import_module(f"benchmark.cli.{COMMANDS[cmd_name][0]}")
        commands = (value for value in vars(module).values() if isinstance(value, click.Command))
        command = next(command for command in commands if command.name == cmd_name)
        if cmd_name in ADDED and isinstance(command, Command):
            part = ADDED[cmd_name]()
            command.parts[part.name or ""] = part
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from benchmark.failures import unknown_name

        if args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = "Models, suites and stimuli have lists: `bench models`, `bench suites`, `bench data list`."
            hint = hint if args[0] in ("list", "ls") else "`bench --help` explains them."
            raise unknown_name("command", args[0], COMMANDS, hint, MEANT.get(args[0], ()))
        return super().resolve_command(ctx, args)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bench")
def cli() -> None:
    """Does my network see like a person, and does it break like a machine?

    Observers answer trials; trials are stored in results.db; scores are computed from stored trials; the leaderboard
    ranks scores. Exit codes: 0 done, 1 failed, 2 usage, 3 partly failed."""


def main() -> None:
    """Run `bench`; report a user's mistake in one line on stderr, without a traceback."""
    from benchmark.failures import BenchError
    from benchmark.variables import THREADS, set_defaults
    from registry.user_errors import Remedy

    set_defaults(*THREADS)
    gc.set_threshold(200_000, 10, 10)  # a table of 1,000 rows is no reason to look for cycles a hundred times
    # What the terminal's encoding lacks (a curve in ASCII) is written as \u2583, as Python does on stderr.
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    altered = AlteredScores()
    AlteredScores.logger.addHandler(altered)
    try:
        code = cli.main(prog_name="bench", standalone_mode=False)
    except BenchError as error:
        _fail(str(error), error.exit_code, error.remedy)
    except click.ClickException as error:
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
            error.show()  # prints the whole help
            sys.exit(2)
        text = " ".join(error.format_message().split()).rstrip(".")
        where = getattr(getattr(error, "ctx", None), "command_path", "bench")
        wrong = str(getattr(error, "option_name", "") or getattr(error, "command_name", ""))
        near = get_close_matches(wrong, getattr(error, "possibilities", None) or (), n=1, cutoff=0.8)
        meant = Remedy(wrong=wrong, instead=MEANT.get(f"{where} {wrong}", tuple(near)))
        _fail(f"{text}. `{where} --help` explains the options.", 2, meant)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted; stored trials are kept. Run the same command to resume.", 130)
    except ClosedPipe:
        sys.stderr.close()
        sys.exit(0)
    except SystemExit as error:  # the command line itself raises none
        _fail(f"the code of a model or a plug-in called sys.exit({error.code!r}).", 1)
    except OSError as error:  # a file that cannot be written, a disk that is full
        _fail(str(error), 1)
    finally:
        AlteredScores.logger.removeHandler(altered)
    gc.freeze()  # the process ends: no cycle needs to be found
    sys.exit((code if isinstance(code, int) else 0) or (3 if altered.shown else 0))


class AlteredScores(logging.Handler):
    """Report rows that are hidden because they were altered in the leaderboard, each once."""

    logger = logging.getLogger("benchmark.store.altered")

    def __init__(self) -> None:
        super().__init__()
        self.shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record."""
        from benchmark.cli.printing import echo_line

        if (line := record.getMessage()) not in self.shown:
            self.shown.add(line)
            echo_line(f"not shown: {line}", err=True)


def _fail(message: str, code: int, remedy: "Remedy | None" = None) -> NoReturn:
    from benchmark.cli.printing import corrected, echo_line

    line = corrected(remedy) if remedy else ""
    echo_line(f"bench: {message} Paste: {line}" if line else f"bench: {message}", err=True)
    sys.exit(code)
