"""The layout labels-csv: images/ and a table that names and labels them."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.items import Item, check_category
from benchmark.stimuli.plain_files import read_text


def labelled_images(entry: Entry, folder: Path) -> Iterator[Item]:
    """The images that `labels.csv` names, in its order. Raises StimuliError naming the row."""
    table = folder / "labels.csv"
    try:
        text = read_text(table, encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        _check_header(reader.fieldnames or (), table)
        for row in reader:
            yield _labelled(entry, folder, row, f"{table}, row {reader.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StimuliError(f"{table}: cannot be read ({error}).") from error


def _labelled(entry: Entry, folder: Path, row: Mapping[str | None, str | None], where: str) -> Item:
    columns = [column for column in row if column is not None]
    labels = {column: value for column in columns if (value := row[column]) is not None}
    if len(columns) != len(row) or len(labels) != len(row):
        raise StimuliError(f"{where}: expected {len(columns)} fields, as the header has.")
    name = labels.pop("image")
    root = (folder / "images").resolve()
    if "\0" in name:
        raise StimuliError(f"{where}: {name!r:.80} is no image's name.")
    path = (root / name).resolve()
    if root not in path.parents or not path.is_file():
        raise StimuliError(f"{where}: there is no image 'images/{name}'.")
    check_category(labels["category"], entry.space, where)
    return Item(name, path, labels)


def _check_header(columns: Iterable[str], table: Path) -> None:
    for column in ("image", "category"):
        if column not in columns:
            raise StimuliError(
                f"{table}: no column '{column}'; it has: {', '.join(columns) or 'none'}."
            )
