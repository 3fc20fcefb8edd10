"""The tables of docs/claims.md: the papers' claims, tried on the built-in world and on published trials.

bench run --suite all -m 'world-*' --db world.db
bench db reference --db reference.db
python docs/claims_page.py world.db reference.db
"""

import sys
from dataclasses import replace
from pathlib import Path

from benchmark import api
from benchmark.leaderboard.forms import markdown
from benchmark.leaderboard.recipe_effects import claims_table

PAGE = Path(__file__).with_suffix("").with_name("claims.md")


def main() -> None:
    """Write the tables between their marks."""
    text = PAGE.read_text(encoding="utf-8")
    for name, db in zip(("world", "published"), sys.argv[1:], strict=True):
        start, end = (f"<!-- claims:{name}:{side} -->" for side in ("start", "end"))
        head, _, rest = text.partition(start)
        tried = [row for row in api.claims(api.Selection(db)) if row.found]  # the others have no network
        table = markdown(replace(claims_table(tried), title="", caption=""))
        text = f"{head}{start}\n{table.strip()}\n{end}{rest.partition(end)[2]}"
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
