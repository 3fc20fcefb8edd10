"""Exported programs (`torch.export.save`, .pt2): opened only after a look at what opening and running them would do.

`torch.export.load` unpickles freely, evaluates the text of sizes and guards, and looks operators up by name; some
write files. So the archive is read here first, and torch opens a copy of its accepted members."""

import ast
import io
import json
import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from registry.cards import ModelCard
from registry.documents import own_table
from registry.download import weights_path
from registry.families.family import Draft, quiet
from registry.files import WeightSources, absence, digest_file, expanded, is_file
from registry.preprocessing import StatedInput
from registry.programs import require_proof
from registry.user_errors import CardError, WeightsError, foreign, shown

_ALLOWED = own_table("families/exported_operators")
OPERATORS, _FUNCTIONS = (frozenset(_ALLOWED[kind].split()) for kind in ("operators", "functions"))
#: An operator of the list in any overload but those that write into a given tensor; arithmetic of Python on sizes; and
#: a block without gradients, whose own graph is looked at, too. `where` without values has a size that hangs on them.
_BLOCK = "torch.ops.higher_order.wrap_with_set_grad_enabled"
_ATEN = re.compile(r"torch\.ops\.aten\.(?!where\.default)(\w+?)_?\.(?!\w*out\b)\w+")
_PYTHON, _KINDS, _WORDS, _MEMBERS = (
    re.compile("|".join(_ALLOWED[kind].split())) for kind in ("python", "kinds", "words", "members")
)
_ASSERTIONS = ("_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range")
_EQUATION = re.compile(r"[A-Za-z., >-]{1,200}")

#: Parts of the texts that torch evaluates (sizes and guards): only arithmetic passes.
_NODES = (
    ast.Expression, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Subscript, ast.Load, ast.keyword, ast.Tuple,
    ast.cmpop, ast.boolop, ast.unaryop, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow,
)  # fmt: skip
_TEXT = re.compile(r"(?!.*__)[\w.+-]{1,80}")

_ADVICE = (
    "It was refused before it was run. Save it again with a current `torch.export.save`, from a model of plain tensors "
    "and operators; or register the network itself with --arch python:MODULE:FUNCTION."
)


def is_plain(text: str) -> bool:
    """Return whether `text` is arithmetic or a comparison of sizes: nothing else may be evaluated."""

    def is_allowed(node: ast.AST) -> bool:
        match node:
            case ast.Constant(value=str() as word):
                return bool(_TEXT.fullmatch(word))
            case ast.Constant(value=bool() | int() | float()):
                return True
            case ast.Name(id=name):
                return "__" not in name
            case ast.Attribute(attr=name):
                return name in ("size", "shape", "stride", "storage_offset", "dim", "ndim")
            case ast.Call(func=ast.Name(id=name)):
                return name in _FUNCTIONS
            case ast.Call(func=ast.Attribute()):
                return True
        return isinstance(node, _NODES)

    try:
        return all(map(is_allowed, ast.walk(ast.parse(text.strip(), mode="eval"))))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _check_graph(document: Any) -> None:
    waiting = [document]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        for key, value in part.items() if isinstance(part, dict) else ():
            waiting.append(value)
            for text in value if key == "guards_code" else [value] if key == "expr_str" else []:
                if not is_plain(text):
                    raise ValueError(f"its {key} is more than arithmetic on sizes: {text!r:.80}")
            for node in value if key == "nodes" else []:
                target = str(node["target"])
                aten = _ATEN.fullmatch(target)
                operator = aten[1] if aten else ""
                if not ({operator, f"{operator}_"} & OPERATORS or target == _BLOCK or _PYTHON.fullmatch(target)):
                    raise ValueError(f"its graph calls {target!r:.80}, which is not in the list of operators")
                for given in node["inputs"]:
                    ((kind, content),) = given["arg"].items()
                    allowed = bool(_KINDS.fullmatch(kind)) or (kind == "as_graph" and target == _BLOCK)
                    if kind == "as_string":
                        words = _EQUATION if operator == "einsum" else _WORDS
                        allowed = bool(words.fullmatch(content)) or operator in _ASSERTIONS
                    if not allowed:
                        what = {"as_string": "the text", "as_graph": "the graph"}.get(kind, kind)
                        raise ValueError(f"its graph hands {what} {content!r:.60} to {target}")


def checked_archive(path: Path) -> io.BytesIO:
    """Return a copy of the archive. Raises WeightsError if a member would do anything but hold or compute numbers."""
    if not is_file(path):
        raise WeightsError(f"exported program {shown(path)} {absence(path)}. Check the path.")
    copy, guard = io.BytesIO(), foreign("exported program", path, WeightsError, _ADVICE)
    with guard, ZipFile(path) as archive, ZipFile(copy, "w", ZIP_STORED) as checked:
        names = archive.namelist()
        if len(set(names)) != len(names):
            raise ValueError("it holds two members of one name")
        for full in names:
            name = full.partition("/")[2]
            if not _MEMBERS.fullmatch(name) or ".." in full:
                raise ValueError(f"it holds {full}, which a program of plain tensors does not")
            if archive.getinfo(full).compress_type != ZIP_STORED:
                raise ValueError(f"it holds {full} compressed, which torch never writes")
            content = archive.read(full)
            if name.endswith(".pt") and content and not name.startswith("data/sample_inputs/"):
                raise ValueError(f"{name} is in an old, pickled format")
            if name.startswith("models/"):
                _check_graph(json.loads(content))
            # Weights and constants are raw numbers of a member of their own, and no more than that holds.
            configured = json.loads(content).get("config", {}) if name.endswith("_config.json") else {}
            for key, entry in configured.items():
                place = str(entry.get("path_name", ""))
                if entry.get("use_pickle", True) or not re.fullmatch(r"(weight|tensor)_\w+", place):
                    raise ValueError(f"it keeps '{key}' as a pickle")
            # Nothing needs the pickles of sample inputs.
            checked.writestr(full, b"" if name.startswith("data/sample_inputs/") else content)
    copy.seek(0)
    return copy


class FixedBatch(nn.Module):
    """A program exported for `batch` images: more are shown in turns, the last filled up with its last image."""

    def __init__(self, program: nn.Module, batch: int) -> None:
        super().__init__()
        self.program, self.batch = program, batch

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, 3, h, w) to the program's output for each image."""
        answers = list[Tensor]()
        for part in torch.split(images, self.batch):
            filling = part[-1:].expand(self.batch - len(part), -1, -1, -1)
            answers.append(tree_leaves(self.program(torch.cat([part, filling])))[0][: len(part)])
        return torch.cat(answers)


def _opened(copy: io.BytesIO) -> tuple[nn.Module, int | None]:
    """Return the program of a checked archive as a module, and how many images it takes, None for any."""
    with quiet():  # torch logs the traceback of an archive that it cannot read
        program = torch.export.load(copy)
    argument = next(iter(program.graph_signature.user_inputs))
    shape = next(node.meta["val"].shape for node in program.graph.nodes if node.name == argument)
    return program.module(), int(shape[0]) if isinstance(shape[0], int) else None


def prove_exported(path: Path, side: int) -> None:
    """Show the program two images: one is a special case in many."""
    torch.set_num_threads(2)
    module, batch = _opened(checked_archive(path))
    with torch.no_grad():
        module(torch.zeros((batch or 2, 3, side, side)))


def describe(draft: Draft, _folder: Path, _place: WeightSources) -> Draft:
    """Return the draft of a program. It takes images of the size that it was exported for."""
    if draft.weights is None:
        raise CardError("arch 'export' needs --weights PROGRAM.pt2.")
    path, stated = expanded(draft.weights).resolve(), StatedInput({"fixed_size": True}, "an exported program")
    return replace(draft, source="export", weights=str(path), options={}, stated=stated)


def network(card: ModelCard, place: WeightSources, _outputs: int, **_bare: bool) -> tuple[nn.Module, str]:
    """Return the program as a module for images of the card's size, and the digest of its file. Raises WeightsError:
    missing, refused, unreadable, not for such images, or asking for too much memory or time."""
    path, side = weights_path(card, place), card.preprocess.size if card.preprocess else 224
    content = (copy := checked_archive(path)).getbuffer()
    require_proof("torch", prove_exported, path, side, place, (sha256(content).hexdigest(), len(content)))
    with foreign("exported program", path, WeightsError):
        module, batch = _opened(copy)
    return (module if batch is None else FixedBatch(module, batch)), digest_file(path)
