"""An experiment with its images and its people's answers in one archive, which another machine adds."""

from __future__ import annotations

import csv
import tarfile
from io import BytesIO, StringIO
from pathlib import Path
from typing import Annotated, Any

import yaml

from benchmark.api.leaderboards import Selection
from benchmark.api.options import Option
from benchmark.failures import StimuliError, UsageError, unknown_name
from benchmark.observer_trials import ImportedAnswers
from benchmark.stimuli.catalogue import find_entry
from benchmark.stimuli.croissant import croissant
from benchmark.stimuli.datasets import open_set
from benchmark.stimuli.experiments import Experiment, added_experiments
from benchmark.stimuli.trial_tables import CHOICES, CONFIDENCE
from benchmark.store import Store
from benchmark.store.versions import is_there
from registry.documents import read_document
from registry.files import replacing

COLUMNS = (
    "subj", "session", "trial", "rt", "object_response", "category", CONFIDENCE, CHOICES, "condition", "imagename",
)  # fmt: skip


def export_experiment(
    leaderboard: Selection,
    name: Annotated[str, Option("An added experiment.")],
    output: Annotated[Path, Option("Write this .tar.gz.", kind="new file")],
) -> tuple[int, int]:
    """Write YAML, images, their labels in Croissant and the imported answers of an added experiment as one archive, and
    return how many images and trials it holds. Raises UnknownName, UsageError."""
    settings, known = leaderboard.settings, added_experiments(leaderboard.settings)
    if name not in known:
        raise unknown_name("added experiment", name, known, "`bench data add EXPERIMENT.yaml` adds one.")
    if not output.name.endswith(".tar.gz"):
        raise UsageError(f"{output}: expected a name that ends in .tar.gz.")
    own, entry = known[name], find_entry(name, settings)
    plain: dict[str, Any] = dict(read_document(Path(own.file), "experiment", StimuliError))
    plain["trials"] = {"people": "subject-.*"}  # the table below has our columns and words
    files: dict[str, bytes] = {}
    if entry.folder:
        stimuli = open_set(name, settings)
        path = getattr(stimuli.decode, "path")  # noqa: B009 - an added experiment's images are files
        files = {f"images/{image}": path(at).read_bytes() for at, image in enumerate(stimuli.ids)}
        files |= {f"images/{file}": text.encode() for file, text in croissant(stimuli, entry).items()}
        same = {label: label for label in stimuli.labels}
        plain["stimuli"] = {"folder": "images", "table": "labels.csv", "columns": same}
    rows: list[tuple[str, ...]] = []
    if is_there(settings.db):
        with leaderboard.reading() as store:
            rows = _answers(store, own)
    if rows:
        text = StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
        files[f"trials/{name}.csv"] = text.getvalue().encode()
    files[f"{name}.yaml"] = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).encode()
    with replacing(output) as file, tarfile.open(fileobj=file, mode="w:gz") as packed:
        for member, data in files.items():
            info = tarfile.TarInfo(f"{name}/{member}")
            info.size = len(data)
            packed.addfile(info, BytesIO(data))
    return len(stimuli) if entry.folder else 0, len(rows)


def _answers(store: Store, own: Experiment) -> list[tuple[str, ...]]:
    """Return the imported answers that count to an experiment, under the columns of a published table."""
    rows = []
    for by_role in ImportedAnswers(store=store, space=own.space).main.values():
        if (row := by_role.get(own.name)) is None:
            continue
        trials = store.trials((row.key,))
        who = row.observer_name.removesuffix(f" ({row.details['source']})")
        names = ("session", "trial", "rt", "response", "category", CONFIDENCE, CHOICES, "condition", "stimulus")
        columns = [trials[name].tolist() if name in trials.columns else [""] * len(trials) for name in names]
        for *more, condition, image in zip(*columns, strict=True):
            rows.append((who, *map(str, more), condition, image.removeprefix(f"{condition}/")))
    return rows
