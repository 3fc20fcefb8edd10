"""Seeded fuzzing of every file that somebody else may have written: cards, label mappings, checkpoints,
exported programs, addresses. Each input is used or refused with one clear error; none ends in a traceback.

The quick tier tries a few hundred inputs, `-m slow` 32,000. Both print what became of them.
"""

import io
import json
import random
import re
import zipfile
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save

from registry.cards import BUILTIN_FOLDER, read_cards
from registry.checkpoints import fit_state, read_state
from registry.errors import BenchError
from registry.exported import checked_archive, load_exported
from registry.files import Place
from registry.labels import read_mapping
from registry.loading import availability

pytestmark = pytest.mark.slow

CARD = """name: mine
source: file
arch: timm:resnet18
weights: net.pt
sha256: 0000000000000000000000000000000000000000000000000000000000000000
preprocess: {size: 224, resize: 256, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], scale: 1.0}
labels: imagenet1k
training: [standard, 'noise(uniform)']
year: 2020
reported: [{metric: top-1, value: 75.1, where: paper}]
options: {kwargs: {num_classes: 5}, key: model}
"""
CARDS = "defaults:\n  source: file\ncards:\n  - {name: a, arch: 'timm:x', preprocess: {size: 8, resize: 8}}\n"
MAPPING = """name: nine
classes: [a, b, c, d]
space: two
groups: {x: [0, b], y: [c, 3]}
"""
URLS = (
    "http://host/net.pt",
    "https://host:80/a/b%20c.safetensors?x=1#y",
    "http://[::1]/net-0676ba61.pth",
)
SCRAPS = (
    "", "~", "null", "[]", "{}", "- a", ": ", "&a ", "*a", "<<: ", "!!binary ", "!!set ", "!!float ", "? ",
    "0x" + "f" * 4400, "9" * 4400, "1e999", ".nan", "-.inf", "2024-13-45", "2024-01-01", "1:2:3:4", "0o9",
    "\x00", "\x1b[2J", "\\e", "\u202e", "\ud800", "\ufeff", "[" * 60, "{a: " * 60, "x" * 9000, "%2F..%2F",
    "%00", "..", "/", "\\", "http://", "http://[", "package:", "package:../x", "package:torch/*", "builtin:../x",
    "random:", "random:-1", "~nobody/x.pt", "python:", "timm:", "\n", "\t", "|\n", ">\n", '"', "'", "#", "%",
    "@", "`", "---\n", "...\n", "true", "-1", "0", "1e9", "[1, [2, [3]]]", "{a: {b: {c: d}}}",
)  # fmt: skip

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def mutated_text(draw, text):
    """One to four edits: bytes dropped, doubled or replaced, lines swapped, scraps put in."""
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(text) + 1)
        until = min(len(text), at + draw.choice((0, 1, 2, 5, 20)))
        kind = draw.randrange(4)
        if kind == 0:
            text = text[:at] + text[until:]
        elif kind == 1:
            text = text[:at] + draw.choice(SCRAPS) + text[until:]
        elif kind == 2:
            lines = text.split("\n")
            line = draw.randrange(len(lines))
            head = lines[line].partition(":")[0]
            lines[line] = f"{head}: {draw.choice(SCRAPS)}"
            text = "\n".join(lines)
        else:
            text = (
                text[:at]
                + chr(draw.choice((draw.randrange(128), draw.randrange(0x2100))))
                + text[at:]
            )
    return text.encode("utf-8", "surrogatepass")


def mutated_bytes(draw, content):
    """Bits flipped, cut short, a stretch zeroed, doubled or drawn anew; mostly where the structure is."""
    content = bytearray(content)
    for _ in range(draw.randint(1, 6)):
        edge = draw.random()
        span = len(content) if edge < 0.4 else min(len(content), 600)
        at = draw.randrange(span) if edge < 0.7 else max(0, len(content) - 1 - draw.randrange(span))
        kind = draw.randrange(5)
        if kind == 0:
            content[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            content[at] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, ord("."), ord("R"), ord("t")))
        elif kind == 2:
            content[at : at + 8] = draw.randbytes(8)
        elif kind == 3:
            content[at:at] = content[at : at + draw.randrange(1, 40)]
        else:
            del content[at if draw.random() < 0.3 else max(at, len(content) - 9) :]
        content = content or bytearray(b"\0")
    return bytes(content)


def card(draw, place):
    (place / "cards").mkdir(exist_ok=True)
    (place / "cards" / "x.yaml").write_bytes(mutated_text(draw, draw.choice((CARD, CARDS))))
    shelf = read_cards(place / "cards")
    assert "world-standard-0" in shelf
    for one in shelf.values():
        availability(one, Place(place))
    for error in shelf.broken.values():
        raise error


@pytest.fixture(autouse=True)
def few_built_in_cards(monkeypatch, tmp_path):
    """Reading the package's own cards again for each input would take most of the time."""
    (tmp_path / "built-in").mkdir()
    (tmp_path / "built-in" / "world.yaml").write_bytes((BUILTIN_FOLDER / "world.yaml").read_bytes())
    monkeypatch.setattr("registry.cards.BUILTIN_FOLDER", tmp_path / "built-in")


def mapping(draw, place):
    path = place / "m.yaml"
    path.write_bytes(mutated_text(draw, MAPPING))
    read_mapping(path)


def address(draw, place):
    url = mutated_text(draw, draw.choice(URLS)).decode("utf-8", "replace")
    (place / "cards").mkdir(exist_ok=True)
    (place / "cards" / "x.yaml").write_text(
        f"name: mine\nsource: file\narch: timm:x\npreprocess: {{size: 8, resize: 8}}\nweights: {json.dumps(url)}\n"
    )
    shelf = read_cards(place / "cards")
    for error in shelf.broken.values():
        raise error
    availability(shelf["mine"], Place(place / "weights"))
    from registry.loading import local_file

    if url.startswith(("http://", "https://")):
        assert local_file(shelf["mine"], place / "weights").parent == place / "weights"


@cache
def network():
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=9).eval()


@cache
def checkpoints():
    state = {"state_dict": network().state_dict(), "epoch": 3, "normalize.mean": torch.ones(3)}
    zipped, legacy, ring = io.BytesIO(), io.BytesIO(), io.BytesIO()
    torch.save(state, zipped)
    torch.save(state, legacy, _use_new_zipfile_serialization=False)
    circle = {"model": {}}
    circle["model"]["model"] = circle["model"]
    torch.save(circle, ring)
    return zipped.getvalue(), legacy.getvalue(), ring.getvalue()


def pickled(draw, place):
    path = place / "net.pt"
    content = draw.choice(checkpoints())
    path.write_bytes(
        deepened(draw, content) if draw.random() < 0.5 else mutated_bytes(draw, content)
    )
    fit_state(network(), read_state(path, draw.choice((None, "state_dict", "x"))), str(path))


def deepened(draw, content):
    """A zip archive with one member mutated, so that the mutation lies behind the zip's own checksums."""
    if not content.startswith(b"PK"):
        return mutated_bytes(draw, content)
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w") as new:
        names = old.namelist()
        structural = [
            n for n in names if n.endswith((".pkl", ".json", "version", "byteorder", "format"))
        ]
        chosen = draw.choice(structural if draw.random() < 0.8 else names)
        for name in names:
            part = old.read(name)
            new.writestr(name, mutated_bytes(draw, part) if name == chosen and part else part)
    return target.getvalue()


@cache
def tensors():
    return save({name: tensor.contiguous() for name, tensor in network().state_dict().items()})


def safetensors(draw, place):
    content = tensors()
    length = int.from_bytes(content[:8], "little")
    header, body = content[8 : 8 + length], content[8 + length :]
    if draw.random() < 0.7:
        header = mutated_header(draw, header)
        claimed = (
            len(header) if draw.random() < 0.8 else draw.choice((0, 2**40, 2**63, len(header) + 9))
        )
        content = claimed.to_bytes(8, "little") + header + body
    else:
        content = mutated_bytes(draw, content)
    path = place / "net.safetensors"
    path.write_bytes(content)
    fit_state(network(), read_state(path), str(path))


def mutated_header(draw, header):
    if draw.random() < 0.4:
        return mutated_bytes(draw, header)
    table = json.loads(header)
    for _ in range(draw.randint(1, 3)):
        entry = table[draw.choice(list(table))]
        field = draw.choice(("dtype", "shape", "data_offsets"))
        entry[field] = draw.choice(
            (
                "F8_E4M3",
                "BOOL",
                "U64",
                "C64",
                "F4",
                3,
                None,
                [],
                [2**62, 2**62],
                [-1],
                [0, 0],
                [0, 2**63],
                [1.5],
            )
        )
    return json.dumps(table).encode()


@cache
def program():
    batch = torch.export.Dim("batch", min=1, max=512)
    example = (torch.rand(2, 3, 32, 32),)
    target = io.BytesIO()
    torch.export.save(torch.export.export(network(), example, dynamic_shapes=({0: batch},)), target)
    return target.getvalue()


def exported(draw, place):
    content = program()
    kind = draw.random()
    changed = mutated_bytes(draw, content) if kind < 0.2 else deepened(draw, content)
    if kind > 0.5:
        changed = rewritten(draw, content)
    path = place / "net.pt2"
    path.write_bytes(changed)
    checked_archive(path)
    if draw.random() < 0.05:  # opening takes a second
        load_exported(path, 32)


def rewritten(draw, content):
    """A program whose graph or table has a few values of another kind."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w") as new:
        tables = [name for name in old.namelist() if name.endswith(".json")]
        chosen = draw.choice(tables)
        for name in old.namelist():
            part = old.read(name)
            if name == chosen:
                document = json.loads(part)
                for _ in range(draw.randint(1, 3)):
                    scrambled(draw, document)
                part = json.dumps(document).encode()
            new.writestr(name, part)
    return target.getvalue()


def scrambled(draw, value):
    """Walk down a random way and put something else there."""
    while True:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        if not keys:
            return
        key = draw.choice(list(keys))
        inner = value[key]
        if isinstance(inner, dict | list) and inner and draw.random() < 0.85:
            value = inner
            continue
        value[key] = draw.choice(
            (
                None,
                3,
                -1,
                2**70,
                1.5,
                "x",
                "torch.ops.aten.add.Tensor",
                "2**9**9",
                [],
                {},
                [[]],
                {"as_int": 2**40},
            )
        )
        return


KINDS = {
    "card": (card, 120, 16_000),
    "mapping": (mapping, 120, 16_000),
    "address": (address, 120, 26_000),
    "pickled": (pickled, 100, 4_000),
    "safetensors": (safetensors, 100, 5_000),
    "exported": (exported, 30, 1_000),
}


def fuzz(kind, count, place: Path, seed=0):
    try_one, outcomes = KINDS[kind][0], Counter()
    for number in range(count):
        draw = random.Random(f"{kind} {seed} {number}")
        try:
            try_one(draw, place)
            outcomes["used"] += 1
        except BenchError as error:
            outcomes["refused"] += 1
            assert len(str(error)) < 4000, (kind, number)
            assert not CONTROLS.search(str(error)), (kind, number, str(error))
        except Exception as error:
            raise AssertionError(
                f"{kind} input {number} of seed {seed} ends in a traceback"
            ) from error
    print(f"{kind}: {count} inputs, {dict(outcomes)}, 0 tracebacks")
    return outcomes


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_no_input_ends_in_a_traceback(kind, tmp_path):
    assert fuzz(kind, KINDS[kind][1], tmp_path)["refused"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_no_input_of_thousands_ends_in_a_traceback(kind, tmp_path):
    assert sum(slow for _, _, slow in KINDS.values()) == 68_000
    assert fuzz(kind, KINDS[kind][2], tmp_path, seed=1)["refused"]
