"""Exported programs (`torch.export.save`, .pt2): opened only after a look at what opening and running
them would do.

`torch.export.load` unpickles freely where an archive asks for it, evaluates the text of size
expressions and guards, and looks operators up by dotted name; some operators write files. So the archive
is read here first: members, sizes, operators and their arguments, expressions. What passes is copied
into a fresh archive, and torch opens that copy: what is opened is what was checked.
"""

from __future__ import annotations

import io
import json
import logging
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from registry import operators
from registry.documents import shown
from registry.errors import WeightsError
from registry.expressions import is_plain
from registry.footprint import FEWEST, MOST_RESULT, TooLarge, bytes_per_image
from registry.pickles import refuse_onnx, require_honest_size
from registry.places import absence, is_file

_MEMBERS = re.compile(
    r"(data/(weights|constants|sample_inputs)/[\w.-]+|models/[\w.-]+\.json|extra/[\w./-]*"
    r"|archive_format|archive_version|byteorder|\.data/[\w.-]+|\.format_version)"
)
#: Bytes of a graph or table of the archive, and numbers of one tensor that they name.
MOST_TEXT = 64 * 2**20
MOST_NUMBERS = 2**28


class _Refused(ValueError):
    """Why a program is not opened."""


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Every (key, value) of a nested JSON document."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _fields(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _fields(inner)


def _check_graph(document: Any) -> None:
    for key, value in _fields(document):
        texts = value if key == "guards_code" else [value] if key == "expr_str" else []
        for text in texts:
            if not isinstance(text, str) or not is_plain(text):
                raise _Refused(f"its {key} is more than arithmetic on sizes: {text!r:.80}")
        if key == "nodes":
            for node in value:
                _check_node(node)
        if key == "tensor_values":
            for name, meta in value.items():
                _numel(name, meta)


def _check_node(node: Any) -> None:
    target = str(node["target"])
    if not operators.is_allowed(target):
        raise _Refused(f"its graph calls {target!r:.80}, which is not in the list of operators")
    for given in node["inputs"]:
        if strange := operators.strange_argument(target, given["arg"]):
            raise _Refused(f"its graph hands {strange} to {target}")


def _numel(name: str, meta: Any) -> int:
    """How many numbers a tensor has at one image; sizes that are not fixed count as one."""
    count = 1
    for size in meta["sizes"]:
        length = size.get("as_int", 1)
        if not isinstance(length, int) or length < 0:
            raise _Refused(f"its tensor {name!r:.60} has a size of {length!r:.40}")
        count *= length
    if count > MOST_NUMBERS:
        raise _Refused(f"its tensor {name!r:.60} has {count} numbers; at most {MOST_NUMBERS}")
    return count


def _check_config(archive: ZipFile, folder: str, name: str, document: Any) -> None:
    """Weights and constants are raw numbers of a member of their own, and no more than that holds."""
    for key, entry in document.get("config", {}).items():
        place = str(entry.get("path_name", ""))
        if entry.get("use_pickle", True) or not re.fullmatch(r"(weight|tensor)_\w+", place):
            raise _Refused(f"{name} keeps '{key}' as a pickle")
        member = f"{folder}{name.rpartition('/')[0]}/{place}"
        held = archive.getinfo(member).file_size
        if _numel(key, entry["tensor_meta"]) > held:
            raise _Refused(f"its {key!r:.60} is larger than {place}, which has {held} bytes")


def _check_member(archive: ZipFile, full: str, content: bytes) -> None:
    root, _, name = full.partition("/")
    if name.startswith("models/"):
        _check_graph(json.loads(content))
    elif name.endswith("_config.json"):
        _check_config(archive, f"{root}/", name, json.loads(content))
    elif name.endswith(".pt") and content:
        if not name.startswith("data/sample_inputs/"):
            raise _Refused(f"{name} is in an old, pickled format")
        require_honest_size(io.BytesIO(content), len(content), full)
        torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")


def _check_members(archive: ZipFile) -> None:
    names = archive.namelist()
    if len(set(names)) != len(names):
        raise _Refused("it holds two members of one name")
    for member in archive.infolist():
        name = member.filename.partition("/")[2]
        if not _MEMBERS.fullmatch(name) or ".." in member.filename:
            raise _Refused(f"it holds {member.filename}, which a program of plain tensors does not")
        if member.compress_type != ZIP_STORED:
            raise _Refused(f"it holds {member.filename} compressed, which torch never writes")
        if name.endswith((".json", ".pt")) and member.file_size > MOST_TEXT:
            raise _Refused(f"its {member.filename} has more than {MOST_TEXT // 2**20} MiB")


def checked_archive(path: Path) -> io.BytesIO:
    """A copy of the archive, after a look at every member. Raises WeightsError where opening or running it
    would do anything but compute with its tensors.
    """
    copy = io.BytesIO()
    try:
        require_honest_size(path, path.stat().st_size, str(path))
        with ZipFile(path) as archive, ZipFile(copy, "w", ZIP_STORED) as checked:
            _check_members(archive)
            for full in archive.namelist():
                content = archive.read(full)
                _check_member(archive, full, content)
                checked.writestr(full, content)
    except WeightsError:
        raise
    except _Refused as error:
        raise _refusal(path, shown(error)) from error
    except pickle.UnpicklingError as error:
        raise _refusal(path, "its sample inputs are a pickle of more than tensors") from error
    except (OSError, BadZipFile) as error:
        raise WeightsError(f"exported program {path} cannot be read: {shown(error)}.") from error
    except Exception as error:
        raise _refusal(
            path, f"it is malformed ({type(error).__name__}: {shown(error)!s:.200})"
        ) from error
    copy.seek(0)
    return copy


def _refusal(path: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"exported program {path} was refused before it was run: {reason}. "
        "Save it again with a current `torch.export.save`, from a model of plain tensors and "
        "operators; "
        "or register the network itself with --arch python:MODULE:FUNCTION."
    )


@contextmanager
def _quietly() -> Iterator[None]:
    """torch writes the traceback of an archive that it cannot read into its log, before it raises it."""
    log = logging.getLogger("torch.export")
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


class _FixedBatch(nn.Module):
    """A program that was exported for `batch` images: more are shown in turns, the last turn filled up with copies of
    its last image.
    """

    def __init__(self, program: nn.Module, batch: int) -> None:
        super().__init__()
        self.program, self.batch = program, batch

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, 3, h, w) to what the program returns for each image."""
        answers = []
        for start in range(0, len(images), self.batch):
            part = images[start : start + self.batch]
            lacking = self.batch - len(part)
            whole = torch.cat([part, part[-1:].expand(lacking, -1, -1, -1)]) if lacking else part
            output = self.program(whole)
            rows = output if isinstance(output, Tensor) else next(iter(tree_leaves(output)))
            answers.append(rows[: len(part)])
        return torch.cat(answers)


def _batch(program: torch.export.ExportedProgram) -> int | None:
    """The batch that a program was exported for; None where it takes any."""
    images = next(iter(program.graph_signature.user_inputs))
    shape = next(node.meta["val"].shape for node in program.graph.nodes if node.name == images)
    return int(shape[0]) if isinstance(shape[0], int) else None


def load_exported(path: Path, side: int) -> nn.Module:
    """The program as a module, for images of `side` pixels. It was exported in the mode that it runs in:
    export it from `model.eval()`.

    Raises WeightsError: not there, refused, unreadable, not for such images, or asking for too much
    memory.
    """
    if not is_file(path):
        raise WeightsError(f"exported program {shown(path)} {absence(path)}. Check the path.")
    refuse_onnx(path)
    copy = checked_archive(path)
    try:
        with _quietly():
            program = torch.export.load(copy)
        batch = _batch(program)
        module = program.module() if batch is None else _FixedBatch(program.module(), batch)
        bytes_per_image(module, side, batch or FEWEST)
    except TooLarge as error:
        raise _refusal(path, f"{error}; at most {MOST_RESULT // 2**30} GiB are given") from error
    except Exception as error:
        reason = shown(error).split("\\n", 1)[0]
        raise WeightsError(
            f"exported program {path} cannot be used by torch {torch.__version__} on images of "
            f"{side} px ({type(error).__name__}: {reason:.200}). Export it again with this version, for "
            "that size and any batch."
        ) from error
    return module
