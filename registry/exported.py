"""Exported programs (`torch.export.save`, .pt2): opened only after a look at what opening would
run.

`torch.export.load` unpickles freely where an archive asks for it, evaluates the text of size
expressions and guards, and looks operators up by dotted name. An archive that asks for any of that
beyond plain arithmetic on sizes and registered operators is refused before it is opened.
"""

from __future__ import annotations

import ast
import io
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from torch import nn

from registry.errors import WeightsError

_MEMBERS = re.compile(
    r"(data/(weights|constants|sample_inputs)/.+|models/[^/]+\.json|extra/.*"
    r"|archive_format|archive_version|byteorder|\.data/.+|\.format_version)"
)
_TARGET = re.compile(r"(torch\.ops\.|_operator\.|math\.|torch\.sym_)[\w.]+")
_METHODS = {"size", "shape", "stride", "storage_offset", "dim", "ndim"}
_FUNCTION = re.compile(r"[A-Z][A-Za-z0-9]+|cast_symbool_to_symint_guardless")
_NAMED_BY_TEXT = {"Symbol", "Integer", "Float"}
_TEXT = re.compile(r"[\w.+-]+")
_NODES = (
    ast.Expression, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Constant,
    ast.Name, ast.Subscript,
    ast.Call, ast.Attribute, ast.Load, ast.keyword, ast.Tuple, ast.operator, ast.cmpop, ast.boolop, ast.unaryop,
)  # fmt: skip


def _refusal(path: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"exported program {path} was refused before it was opened: {reason}. "
        "Save it again with a current `torch.export.save`, from a model of plain tensors and "
        "operators; "
        "or register the network itself with --arch python:MODULE:FUNCTION."
    )


def _plain_expression(text: str) -> bool:
    """Whether `text` is arithmetic or a comparison of sizes: nothing else may be evaluated."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return False
    nodes = list(ast.walk(tree))
    texts = {id(node.slice) for node in nodes if isinstance(node, ast.Subscript)}
    for node in nodes:
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _NAMED_BY_TEXT:
            texts |= {id(argument) for argument in node.args}
    return all(_plain_node(node, texts) for node in nodes)


def _plain_node(node: ast.AST, texts: set[int]) -> bool:
    """`texts`: the constants that may be text (keys, and names of symbols and numbers)."""
    if not isinstance(node, _NODES):
        return False
    if isinstance(node, ast.Attribute):
        return node.attr in _METHODS
    if isinstance(node, ast.Name):
        return "__" not in node.id
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return id(node) in texts and bool(_TEXT.fullmatch(node.value))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return bool(_FUNCTION.fullmatch(node.func.id))
    return not isinstance(node, ast.Call) or isinstance(node.func, ast.Attribute)


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Every (key, value) of a nested JSON document."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _fields(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _fields(inner)


def _check_graph(path: Path, document: Any) -> None:
    for key, value in _fields(document):
        texts = value if key == "guards_code" else [value] if key == "expr_str" else []
        for text in texts:
            if not isinstance(text, str) or not _plain_expression(text):
                raise _refusal(path, f"its {key} is more than arithmetic on sizes: {text!r:.80}")
        if key == "target" and isinstance(value, str) and not _TARGET.fullmatch(value):
            raise _refusal(path, f"its graph calls {value!r:.80}, which is no registered operator")


def _check_config(path: Path, name: str, document: Any) -> None:
    for key, entry in document.get("config", {}).items():
        place = str(entry.get("path_name", ""))
        if entry.get("use_pickle", True) or not place.startswith(("weight_", "tensor_")):
            raise _refusal(path, f"{name} keeps '{key}' as a pickle")


def _check_member(path: Path, name: str, content: bytes) -> None:
    if name.startswith("models/"):
        _check_graph(path, json.loads(content))
    elif name.endswith("_config.json"):
        _check_config(path, name, json.loads(content))
    elif name.endswith(".pt") and content:
        if not name.startswith("data/sample_inputs/"):
            raise _refusal(path, f"{name} is in an old, pickled format")
        torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")


def check_archive(path: Path) -> None:
    """Raises WeightsError where opening the archive would run anything but its operators."""
    try:
        with ZipFile(path) as archive:
            for full in archive.namelist():
                name = full.partition("/")[2]
                if not _MEMBERS.fullmatch(name):
                    raise _refusal(
                        path, f"it holds {full}, which a program of plain tensors does not"
                    )
                if name.endswith((".json", ".pt")):
                    _check_member(path, name, archive.read(full))
    except pickle.UnpicklingError as error:
        raise _refusal(path, "its sample inputs are a pickle of more than tensors") from error
    except (OSError, BadZipFile, ValueError, RuntimeError, AttributeError) as error:
        raise WeightsError(f"exported program {path} cannot be read: {error}.") from error


def load_exported(path: Path) -> nn.Module:
    """The program as a module. It was exported in the mode that it runs in: export it from
    `model.eval()`.
    """
    if not path.is_file():
        raise WeightsError(f"exported program {path} is not there. Check the path.")
    check_archive(path)
    return torch.export.load(path).module()
