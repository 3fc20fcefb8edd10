"""A stimulus set describes itself in Croissant 1.1, and its reader finds every image."""

import csv
import json
from hashlib import sha256
from itertools import islice

import pytest

from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.croissant import croissant
from benchmark.stimuli.world.sets import generated_set


def test_the_table_has_every_image_with_its_labels_and_the_description_its_digest():
    stimuli = generated_set("world-edges")
    entry = Entry(name="edges", role="edges", space="geirhos16", layout="class-folder", license="CC-BY-4.0")
    texts = croissant(stimuli, entry)
    plain, rows = json.loads(texts["croissant.json"]), [*csv.DictReader(texts["labels.csv"].splitlines())]
    assert [row["image"] for row in rows] == [*stimuli.ids] and [row["digest"] for row in rows] == [*stimuli.items]
    assert [row["category"] for row in rows] == stimuli.labels["category"].tolist()
    assert plain["distribution"][0]["sha256"] == sha256(texts["labels.csv"].encode()).hexdigest()
    assert plain["license"] == "CC-BY-4.0" and "datePublished" not in plain and stimuli.digest in plain["description"]


@pytest.mark.slow
def test_its_reader_finds_no_fault_and_every_image(bench, tmp_path):
    reader = pytest.importorskip("mlcroissant")
    said = bench("data", "croissant", "world-cue-conflict", "-o", tmp_path / "out")
    assert said.code == 0 and said.out.endswith("croissant.json: 960 images of 'world-cue-conflict'\n")
    dataset = reader.Dataset(jsonld=tmp_path / "out" / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors and not dataset.metadata.ctx.issues.warnings
    records = [*dataset.records(record_set="images")]
    first = next(islice(records, 1))
    stimuli = generated_set("world-cue-conflict")
    assert len(records) == 960 and first["images/shape"].decode() == stimuli.labels["shape"][0]
