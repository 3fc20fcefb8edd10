"""The table of rooms in architecture.md, made from the import contracts of pyproject.toml and the rooms' docstrings.

python docs/import_table.py writes it; with --check it says whether the page is up to date (exit 1 where it is not).
"""

import ast
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
START, END = "<!-- rooms:start -->", "<!-- rooms:end -->"


def layers() -> list[list[str]]:
    """Rooms from top to bottom; those of one layer do not import one another."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    outer, inner = (
        [[part.strip() for part in layer.split("|")] for layer in contract["layers"]]
        for contract in config["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    return [room for layer in outer for room in (inner if layer == ["benchmark"] else [layer])]


def summary(room: str) -> str:
    """The first sentence of the docstring."""
    path = ROOT.joinpath(*room.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split()).partition(". ")[0].removesuffix(".").replace("|", "\\|")


def table() -> str:
    """Markdown: floor (the ground is 1), room, what it is. A room imports from lower floors only."""
    stack = layers()
    lines = ["| floor | room | what |", "|---|---|---|"]
    for height, layer in enumerate(stack):
        lines += [f"| {len(stack) - height} | `{room.replace('.', '/')}` | {summary(room)} |" for room in layer]
    return "\n".join(lines)


def main() -> int:
    """Write the table, or check it."""
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(START)
    _, tail = rest.split(END)
    text = f"{head}{START}\n{table()}\n{END}{tail}"
    if "--check" in sys.argv:
        if text == page:
            return 0
        print("docs/architecture.md: the table of rooms is out of date; run python docs/import_table.py")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
