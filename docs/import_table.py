"""The table of rooms in architecture.md, made from the import contracts of pyproject.toml and the rooms' docstrings.

python docs/import_table.py writes it; with --check it says whether the page is up to date (exit 1 where it is not).
"""

import ast
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
START, END = "<!-- rooms:start -->", "<!-- rooms:end -->"


def contracts() -> list[dict[str, Any]]:
    """The import contracts, in order."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = config["tool"]["importlinter"]["contracts"]
    return found


def layers() -> list[list[str]]:
    """Rooms from top to bottom; those of one layer do not import one another."""
    outer, inner = (
        [[part.strip() for part in layer.split("|")] for layer in contract["layers"]]
        for contract in contracts()
        if contract["type"] == "layers"
    )
    return [room for layer in outer for room in (inner if layer == ["benchmark"] else [layer])]


def forbidden(room: str) -> set[str]:
    """What a room may not import although it lies below."""
    return {
        module
        for contract in contracts()
        if contract["type"] == "forbidden" and room in contract["source_modules"]
        for module in contract["forbidden_modules"]
    }


def summary(room: str) -> str:
    """The first paragraph of the docstring, as one line."""
    path = ROOT.joinpath(*room.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")


def table() -> str:
    """Markdown: room, what it is, what it may import (the next layer, and whatever lies below that)."""
    stack = layers()
    lines = ["| room | what | may import |", "|---|---|---|"]
    for at, layer in enumerate(stack):
        for room in layer:
            allowed = [[r for r in lower if r not in forbidden(room)] for lower in stack[at + 1 :]]
            allowed = [lower for lower in allowed if lower]
            name = room.replace(".", "/")
            lines.append(f"| `{name}` | {summary(room)} | {_allowed(allowed)} |")
    return "\n".join(lines)


def _allowed(stack: list[list[str]]) -> str:
    if not stack:
        return "nothing of ours"
    names = ", ".join(f"`{room.removeprefix('benchmark.')}`" for room in stack[0])
    return f"{names} and what is below" if len(stack) > 1 else names


def main() -> int:
    """Write the table, or check it."""
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(START)
    _, tail = rest.split(END)
    made = f"{head}{START}\n{table()}\n{END}{tail}"
    if "--check" in sys.argv:
        if made == page:
            return 0
        print("docs/architecture.md: the table of rooms is out of date; run python docs/import_table.py")
        return 1
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
