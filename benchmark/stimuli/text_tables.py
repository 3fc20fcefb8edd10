"""Tables in text files as people have them: of any encoding and separator, as JSON, or as lines "NAME CLASS"."""

import codecs
import csv
import json
import re
from collections.abc import Collection
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.failures import UsageError
from benchmark.stimuli.image_files import read_plain

if TYPE_CHECKING:
    from pandas import DataFrame

MOST_ROWS = 4_000_000
#: Separators of fields; the one of most fields in the first line counts, of several the first.
_SEPARATORS = "\t;,|"


def decoded_text(data: bytes) -> str:
    """Decode a text: UTF-8, UTF-16 with or without its mark, or Western European. Raises ValueError if it is none."""
    halves = {(False, True): "utf-16-le", (True, False): "utf-16-be"}  # which byte of a plain character is zero
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    wide = "utf-16" if marked else halves.get((data[:1] == b"\0", data[1:2] == b"\0"))
    for encoding in [wide] if wide else ["utf-8-sig", "cp1252", "latin-1"]:
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            if not re.search("\0" if encoding.startswith("utf") else r"[\x00-\x08\x0e-\x1f]", text):
                return text
    raise ValueError("not a text in UTF-8, UTF-16 or a Western encoding, or it holds a NUL")


def read_frame(path: Path) -> "DataFrame":
    """Read a table as text without blanks around fields; its first row may be a header. For use within `foreign`. Rows
    are numbered from 1 as in the file, columns 0, 1, ...; empty rows are left out. A list without separators has two
    columns: all up to the last blank, and the rest."""
    import pandas as pd

    text = decoded_text(read_plain(path))
    if text.count("\n") > MOST_ROWS:
        raise ValueError(f"more than {MOST_ROWS} rows")
    first = next(filter(str.strip, text.splitlines()), "")
    separator = max(_SEPARATORS, key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson") or first.startswith("{"):
        whole = path.suffix.lower() == ".json"  # else an object a line
        records = json.loads(text) if whole else [json.loads(line) for line in text.splitlines() if line.strip()]
        if not isinstance(records, list) or not all(isinstance(row, dict) for row in records):
            raise ValueError("expected a list of records")
        names = list(dict.fromkeys(str(name) for row in records for name in row))
        values = [["" if row.get(name) is None else str(row[name]) for name in names] for row in records]
        rows = pd.DataFrame([names, *values], dtype=str)
    elif separator not in first and len(first.split()) > 1:
        pairs = ([*line.strip().rsplit(None, 1), "", ""] for line in text.splitlines())
        rows = pd.DataFrame([pair[:2] for pair in pairs], dtype=str)
    else:
        options: dict[str, Any] = {"header": None, "dtype": str, "keep_default_na": False, "skip_blank_lines": False}
        rows = pd.read_csv(StringIO(text), sep=separator, **options)
    rows.index += 1
    rows = rows.apply(lambda column: column.str.strip())
    if separator == ";":  # where it separates, the comma is that of decimals
        rows = rows.replace(r"^(-?\d+),(\d+)$", r"\1.\2", regex=True)
    filled: DataFrame = rows[(rows != "").any(axis=1)]
    return filled


def stated_pairs(text: str, option: str, known: Collection[str], example: str) -> dict[str, str]:
    """Parse "THEIRS=OURS, ..." of an option, in either order, in small letters. UsageError if neither is `known`."""
    pairs: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        theirs, _, ours = (piece.strip().lower() for piece in part.partition("="))
        if ours not in known and theirs in known:
            theirs, ours = ours, theirs
        if not theirs or ours not in known:
            expected = f"expected THEIRS=OURS, where OURS is one of {', '.join(known)}, such as '{example}'"
            raise UsageError(f"{option} '{part}': {expected}.")
        pairs[theirs] = ours
    return pairs
