"""Derive click commands from the signatures of typed verbs."""

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from click.core import ParameterSource

from benchmark.api.leaderboards import Selection
from benchmark.api.options import Filters, Names, Option, Triple, VerbParameter, fields

R = TypeVar("R")
_NEEDS = re.compile(r"\(with (--[\w-]+)\)")


class FiniteRange(click.FloatRange):
    """A finite number within bounds: click accepts NaN in any range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Refuse NaN and infinity."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def nonempty_path(text: str) -> str:
    """Refuse an empty text, which comes from a shell variable that is not set."""
    if not str(text).strip():  # a default may be a path
        raise click.BadParameter("expected a place, got '' (a variable that is not set?).")
    return text


def numbers(text: str) -> tuple[float, float, float]:
    """Parse three numbers, as in "0.485,0.456,0.406"."""
    try:
        first, second, third = map(float, text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"expected three numbers like 0.485,0.456,0.406, got '{text}'") from error
    return first, second, third


class Command(click.Command):
    """A command with sub-commands beside its arguments: `bench models [PATTERN]`, `bench models show NAME`."""

    def __init__(
        self, *args: Any, parts: Sequence[click.Command] = (), options: Mapping[str, Option] | None = None, **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self.parts, self.options = {part.name or "": part for part in parts}, options or {}

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command unless an option would be ignored."""
        self.check_together({n for n in ctx.params if ctx.get_parameter_source(n) == ParameterSource.COMMANDLINE})
        return super().invoke(ctx)

    def check_together(self, given: Collection[str]) -> None:
        """Raise UsageError for a parameter that needs another one, or that excludes one that is given."""
        is_option = click.Option
        called = {p.name: p.opts[0] if isinstance(p, is_option) else p.human_readable_name for p in self.params}
        for name in given & self.options.keys():
            option = self.options[name]
            needed = _NEEDS.search(option.help)
            if needed and not any(needed[1] in each.opts and each.name in given for each in self.params):
                raise click.UsageError(f"{called[name]} is for {needed[1]}, which is not given.")
            if beside := [called[other] for other in option.without if other in given]:
                raise click.UsageError(f"{called[name]} takes no {beside[0]}: give one of the two.")

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **e: Any
    ) -> click.Context:
        """Return the context of the sub-command that the first word names, otherwise its own."""
        if args[:1] == ["list"] and self.parts and "list" not in self.parts:
            args = args[1:]  # `bench models list`: the command alone lists them
        part = self.parts.get(args[0]) if args else None
        if part is not None:
            return part.make_context(f"{info_name} {args[0]}", args[1:], parent, **e)
        return super().make_context(info_name, args, parent, **e)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the sub-commands."""
        if self.parts:
            with formatter.section("Commands"):
                formatter.write_dl([(name, part.get_short_help_str(60)) for name, part in self.parts.items()])


def command(
    *verbs: Callable[..., Any], name: str = "", parts: Sequence[click.Command] = ()
) -> Callable[[Callable[..., int | None]], Command]:
    """Make a command from the function that calls verbs, prints their results and returns the exit code (None: 0). It
    takes the parameters of the verbs and those of its own signature that have an `Option`; its help is its docstring or
    the first verb's."""

    def derived(show: Callable[..., int | None]) -> Command:
        known = {field.name: field for verb in verbs for field in fields(verb)}
        known |= {field.name: field for field in fields(show)}
        # Arguments first, and the leaderboard last.
        parameters = sorted(map(parameter, known.values()), key=lambda p: (isinstance(p, click.Option), p.name == "db"))
        text = show.__doc__ or next(verb.__doc__ for verb in verbs)
        text = (text or "").partition("\n\n    Returns ")[0]  # a Python return value is not for a terminal
        options = {field.name: field.option for field in known.values()}
        title = name or show.__name__.replace("_", "-")

        def on_leaderboard(db: str | None, **given: Any) -> int | None:
            filters = {name: given.pop(name) for name in Filters.__annotations__ if name in given}
            return show(leaderboard=Selection(db).where(**filters), **given)

        reads = any("leaderboard" in signature(verb).parameters for verb in verbs)
        callback = on_leaderboard if reads else show
        return Command(title, callback=callback, params=parameters, help=text, parts=parts, options=options)

    return derived


def result_of(verb: Callable[..., R], name: str = "") -> Callable[[Callable[[R], int | None]], Command]:
    """Make a command from the function that prints a verb's result."""
    return lambda show: command(verb, name=name or verb.__name__)(lambda **asked: show(verb(**asked)))


def parameter(field: VerbParameter) -> click.Parameter:
    """Return the option or argument of a verb's parameter."""
    said, kind, default = field.option, field.type, field.default

    def comma_list(context: click.Context, option: click.Parameter, names: Sequence[str]) -> str | None:
        if any(not name.strip(" ,") for name in names):
            raise click.BadParameter("expected a name or a pattern, got ''", context, option)
        return ",".join(names) or None

    is_argument = field.positional and not said.flags
    more: dict[str, Any] = {"metavar": said.metavar, "required": default is Parameter.empty}
    if kind == Names and not is_argument:
        kind, more["multiple"], more["callback"] = str, True, comma_list
        default = (default,) if default else ()
    elif get_origin(kind) is Sequence:
        (kind,) = get_args(kind)
        more.update({"nargs": -1} if is_argument else {"multiple": True})
        if get_origin(kind) is tuple:
            more["nargs"], kind = len(get_args(kind)), str
    if not more["required"]:
        more["default"] = default
    more["type"] = _click_type(field, kind)
    if is_argument:
        return click.Argument([field.name], **more)
    if kind is bool:
        return click.Option([field.name, *field.flags], is_flag=True, help=said.help, default=False)
    shown = not more["required"] and default not in (None, "", ())
    flags = field.flags
    if said.kind and {"--out", "--output"} & {*flags}:  # two spellings of the same
        flags = ("--output", "--out", "-o")
    return click.Option([field.name, *flags], help=said.help, show_default=shown, **more)


def _click_type(field: VerbParameter, kind: Any) -> Any:
    said = field.option
    if get_origin(kind) is Literal:
        return click.Choice([str(choice) for choice in get_args(kind)])
    if kind == Triple:
        return numbers
    if said.kind == "place":
        return nonempty_path
    if said.kind:
        fits = {"exists": "new" not in said.kind, "dir_okay": "file" not in said.kind}
        return click.Path(**fits, file_okay="folder" not in said.kind, path_type=Path)
    if kind is int and said.least is not None:
        return click.IntRange(int(said.least), None if said.most is None else int(said.most))
    if kind is int:
        return click.INT
    if kind is not float:
        return click.STRING
    is_open = said.above is not None
    return FiniteRange(said.above if is_open else said.least, said.most, min_open=is_open, max_open=is_open)
