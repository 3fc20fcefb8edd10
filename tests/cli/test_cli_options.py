"""No option is ignored in silence: beside, or without, one that decides whether it counts it is refused."""

import click
import pytest

from benchmark.cli import COMMANDS, cli
from benchmark.cli.derive import _NEEDS, Command


def commands(group, words=()):
    """Every command that is derived from a signature, with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        each = group.get_command(context, name)
        yield from commands(each, (*words, name)) if isinstance(each, click.Group) else [((*words, name), each)]
        for part in getattr(each, "parts", {}).values():
            yield (*words, name, part.name), part


@pytest.mark.slow
def test_every_option_of_every_command_is_refused_where_it_would_be_ignored():
    found = {words: each for words, each in commands(cli) if isinstance(each, Command)}
    assert {words[0] for words in found} >= {*COMMANDS} - {"import", "data", "suites", "db"}
    refused = set()
    for words, command in found.items():
        assert command.options.keys() <= {each.name for each in command.params}, words
        flags = {flag: each.name for each in command.params for flag in each.opts}
        for name, option in command.options.items():
            needed = _NEEDS.search(option.help)
            for given in [*([{name}] if needed else []), *({name, other} for other in option.without)]:
                with pytest.raises(click.UsageError):
                    command.check_together(given)
                refused.add((" ".join(words), *sorted(given)))
            command.check_together({name, flags[needed[1]]} if needed else {name})
    assert refused >= {
        ("report", "port"), ("report", "live", "out"), ("ask", "host"), ("ask", "answers"), ("diff", "limit"),
        ("compare consistency", "differences", "experiment"), ("compare consistency", "differences", "observers"),
    }  # fmt: skip


def test_the_refusal_names_both(bench):
    ended = bench("report", "--port", "9000")
    assert ended.code == 2 and "--port is for --live" in ended.err
    ended = bench("compare", "consistency", "a", "b", "--differences")
    assert ended.code == 2 and "--differences takes no" in ended.err
