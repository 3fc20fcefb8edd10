"""What the site's build adds: the command reference, made from the program, and a search that works from a disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from benchmark.cli import cli
from benchmark.cli.derive import Command


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page of commands ends with the help of each."""
    return markdown + "\n\n".join(_helps()) if page.file.src_uri == "commands.md" else markdown


def _helps() -> Iterator[str]:
    context = click.Context(cli, info_name="bench", max_content_width=78, terminal_width=78)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        yield _help(command, name, context, "##")
        below = command.parts if isinstance(command, Command) else getattr(command, "commands", {})
        for part in below.values():
            yield _help(part, f"{name} {part.name}", context, "###")


def _help(command: click.Command, name: str, context: click.Context, level: str) -> str:
    own = click.Context(command, info_name=name, parent=context, max_content_width=78, terminal_width=78)
    return f"{level} bench {name}\n\n```text\n{command.get_help(own)}\n```"


def on_post_build(config: Any, **_: Any) -> None:
    """From a disk a page may load scripts alone, so the index becomes one."""
    folder = Path(config.site_dir) / "search"
    (folder / "search_index.js").write_text(f"var __index = {(folder / 'search_index.json').read_text()}")
