"""Lists of images with their classes, beside the images: `val.txt`, CSV, TSV and JSON lines under any column names."""

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.failures import StimuliError
from benchmark.stimuli.text_tables import read_frame
from registry.user_errors import foreign, some_of

if TYPE_CHECKING:
    from pandas import DataFrame

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".json")
#: Usual names of columns, in `plain_column`.
IMAGES = re.compile("jpg|png|(?:images?|img|file)(?:name|path|id)?|path|name|id|key")
#: A file, a number or a WordNet id, which no column is called, in small letters.
_ENTRY = re.compile(r"-?\d+|n\d{8}|.*\.(?:png|jpe?g|bmp|webp|ppm|tiff?)")
LABELS = re.compile("(?:labels?|class|classes|category|target|synset|wordnet)(?:name|id)?|targets|cls|wnid|y")


class ImageNames:
    """The images below a folder by name, to find what a list names. No other file is ever found."""

    def __init__(self, folder: Path, paths: Iterable[str]) -> None:
        self.folder = folder
        self.paths = tuple(paths)
        self.by_name = defaultdict[str, list[str]](list)
        self.by_stem = defaultdict[str, list[str]](list)  # lists may leave the suffix out
        for path in self.paths:
            name = path.rpartition("/")[2]
            self.by_name[name].append(path)
            self.by_stem[name.rpartition(".")[0]].append(path)

    def find(self, text: str) -> Sequence[str]:
        """Return the images that a text names: by its whole path, or by one that agrees from the folder's name on."""
        parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".", "..")] or [""]
        known = self.by_name.get(parts[-1]) or self.by_stem.get(parts[-1]) or ()

        def fits(path: str) -> bool:
            n = min(len(parts), path.count("/") + 2)  # a list of another machine agrees up to the folder's name
            return [*self.folder.parts, *path.split("/")][-n:-1] == parts[-n:-1]

        return list(filter(fits, known)) if len(parts) > 1 else known


def manifest_tables(folder: Path) -> list[Path]:
    """List the text files in a folder, and those beside it that are named after it: val.txt, val_map.txt of val/."""
    beside = re.compile(re.escape(folder.name) + "(?:_map|_labels|_list)?")
    own = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    near = [path for path in folder.parent.iterdir() if beside.fullmatch(path.stem) and path.suffix.lower() in SUFFIXES]
    return sorted(path for path in (*own, *near) if not path.name.startswith(".") and path.is_file())


def manifest_rows(table: Path) -> "DataFrame":
    """Read a list's rows as text. Raises StimuliError."""
    with foreign("list of images", table, StimuliError, "Expected a text file with an image and its class a row."):
        return read_frame(table)


def match_manifest(
    table: Path, rows: "DataFrame", names: ImageNames, columns: Mapping[str, str], line: str
) -> dict[str, str]:
    """Return the columns "image" and "label" of a table ("1", "2", ... without a header), as stated or by what its rows
    hold; {} if it does not list these images. Raises StimuliError with a working command if several columns fit."""
    if rows.empty:
        return {}
    header = rows.iloc[0].str.lower().tolist()
    last = rows.apply(lambda column: column.str.replace("\\", "/").str.rpartition("/")[2])
    hits = last.isin(list(names.by_name))
    hits = hits if hits.any(axis=None) else last.isin(list(names.by_stem))
    if not hits.any(axis=None):
        return {}
    is_headed = not (hits.iloc[0].any() or any(map(_ENTRY.fullmatch, header)))
    if is_headed or (columns and set(columns.values()) <= {*header}):
        rows.columns = hits.columns = header
        rows, hits = rows.iloc[1:], hits.iloc[1:]
    else:
        rows.columns = hits.columns = [str(i + 1) for i in range(len(header))]
    if rows.columns.has_duplicates or rows.empty:
        return {}
    if lost := [name for name in columns.values() if name not in rows]:
        raise StimuliError(f"{table}: no column '{lost[0]}'; it has: {', '.join(rows.columns)}.")
    counts = hits.sum()
    images = [str(name) for name in rows if counts[name] * 2 >= min(len(rows), len(names.paths))]
    image = columns.get("image") or one_of("image", images, IMAGES, table, line)
    others = [str(name) for name in rows if name not in (*images, image)]
    label = image and (columns.get("label") or one_of("label", others, LABELS, table, line))
    return {"image": image, "label": label} if label else {}


def plain_column(name: str) -> str:
    """Return a column's name in small letters, without what separates words."""
    return re.sub("[_ -]", "", name.lower())


def one_of(kind: str, names: Sequence[str], usual: re.Pattern[str], where: Path, line: str) -> str:
    """Return the only column of a kind, or of a usual name; "" without any. Raises StimuliError on several."""
    named = [name for name in names if usual.fullmatch(plain_column(name))]
    if len(names) < 2 or len(named) == 1:
        return (named or list(names) or [""])[0]
    raise StimuliError(
        f"{where}: {some_of(named or names, 5)} could each be the column of the {kind}. Name it, such as "
        f"`{line} --columns {shlex.quote(f'{kind}={(named or names)[0]}')}`."
    )


def read_manifest(
    table: Path, columns: Mapping[str, str], names: ImageNames
) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Return image, label and place in the table of each row, and what was left out. Raises StimuliError."""
    rows, chosen = manifest_rows(table), [columns["image"], columns["label"]]
    header = rows.iloc[0].str.lower().tolist() if len(rows) else []
    is_headed = {*chosen} <= {*header}
    rows.columns = header if is_headed else [str(i + 1) for i in range(len(header))]
    if not {*chosen} <= {*rows}:
        raise StimuliError(f"{table}: no columns {', '.join(chosen)}; it has: {', '.join(header)}.")
    pairs = rows.iloc[int(is_headed) :][chosen]
    listed: dict[str, tuple[str, str]] = {}
    lost: list[str] = []
    for row, text, label in pairs.itertuples(name=None):
        where = f"{table}, row {row}"
        if not (text + label).isprintable():
            raise StimuliError(f"{where}: the name {f'{text} {label}'[:80]!r} holds a control character.")
        found = names.find(text)
        if len(found) > 1:
            raise StimuliError(f"{where}: '{text:.80}' fits {some_of(found, 3)}. Name their folders.")
        if not found:
            lost.append(f"'{text:.80}' in row {row}")
            continue
        if label in ("", "-1", "nan", "None"):
            raise StimuliError(f"{where}: the image '{text:.80}' has no label.")
        first, place = listed.setdefault(found[0], (label, where))
        if first != label:
            raise StimuliError(f"{where}: '{text:.80}' is '{label:.80}' here and '{first:.80}' in {place}.")
    if not listed:
        raise StimuliError(f"{table}: none of its {len(lost)} images is below {names.folder}: {some_of(lost, 1)}.")
    notes = [f"classes from {table}, columns {' and '.join(chosen)}"]
    rest = len(names.paths) - len(listed)
    notes += [f"left out: {rest} images that {table.name} does not list"] if rest else []
    notes += [f"left out: {len(lost)} rows whose image is not there: {some_of(lost, 3)}"] if lost else []
    return [(path, label, where) for path, (label, where) in listed.items()], notes
