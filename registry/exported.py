"""Exported programs (`torch.export.save`, .pt2): opened only after a look at what opening and running
them would do.

`torch.export.load` unpickles freely where an archive asks for it, evaluates the text of size
expressions and guards, and looks operators up by dotted name; some operators write files. So the archive
is read here first: members, sizes, operators and their arguments, expressions. What passes is copied
into a fresh archive, and torch opens that copy: what is opened is what was checked.
"""

from __future__ import annotations

import ast
import io
import json
import logging
import pickle
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from registry.checkpoints import refuse_onnx, require_honest_size
from registry.errors import WeightsError
from registry.files import absence, is_file
from registry.foreign import shown

# The operators that an exported program may call: pure computation on tensors and sizes.
#
# None takes a path, reads or writes a file, draws random numbers, returns uninitialised memory, or calls
# anything by name. In-place forms (`relu_`) of those listed are allowed, too.


_POINTWISE = """
    abs acos acosh add addcdiv addcmul asin asinh atan atan2 atanh bitwise_and bitwise_not bitwise_or
    bitwise_xor celu ceil clamp clamp_max clamp_min clip copy cos cosh deg2rad div divide elu eq erf erfc exp
    exp2 expm1 fill floor floor_divide fmod frac gelu ge glu greater greater_equal gt hardshrink hardsigmoid
    hardswish hardtanh hypot isfinite isinf isnan le leaky_relu lerp less less_equal log log10 log1p log2
    log_sigmoid logaddexp logical_and logical_not logical_or logical_xor logit lt masked_fill maximum minimum
    mish mul multiply nan_to_num ne neg negative not_equal pow prelu reciprocal relu relu6 remainder round
    rsqrt rsub selu sgn sigmoid sign silu sin sinc sinh softplus softshrink softsign sqrt square sub subtract
    tan tanh tanhshrink threshold true_divide trunc where xlogy zero
"""
_REDUCING = """
    _log_softmax _safe_softmax _softmax all amax amin any argmax argmin argsort cummax cummin cumprod cumsum
    frobenius_norm linalg_norm linalg_vector_norm log_softmax logsumexp max mean median min norm prod softmax
    sort std std_mean sum topk var var_mean
"""
_LAYERS = """
    _adaptive_avg_pool2d _adaptive_avg_pool3d _native_batch_norm_legit_no_training _scaled_dot_product_attention_math
    _scaled_dot_product_efficient_attention _scaled_dot_product_flash_attention
    _scaled_dot_product_flash_attention_for_cpu _thnn_fused_gru_cell _trilinear _unsafe_view
    _upsample_bicubic2d_aa _upsample_bilinear2d_aa _weight_norm _weight_norm_interface adaptive_avg_pool1d
    adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool2d addbmm addmm addmv alpha_dropout avg_pool1d
    avg_pool2d avg_pool3d baddbmm batch_norm bilinear bmm channel_shuffle conv1d conv2d conv3d
    conv_transpose1d conv_transpose2d convolution cosine_similarity dot dropout einsum embedding
    feature_dropout group_norm grid_sampler grid_sampler_2d inner instance_norm interpolate layer_norm linear
    lstm matmul max_pool1d max_pool2d max_pool2d_with_indices max_pool3d mm mv native_batch_norm
    native_dropout native_group_norm native_layer_norm normalize outer pixel_shuffle pixel_unshuffle rms_norm
    scaled_dot_product_attention tensordot upsample_bicubic2d upsample_bilinear2d upsample_linear1d
    upsample_nearest1d upsample_nearest2d _upsample_nearest_exact2d
"""
_SHAPES = """
    _reshape_alias _to_copy alias arange as_strided broadcast_tensors broadcast_to bucketize cat chunk
    clone col2im concat constant_pad_nd contiguous cumulative_trapezoid detach diag diag_embed diagonal
    dstack expand expand_as eye flatten flip full full_like gather hstack im2col index index_add index_copy
    index_fill index_put index_select isin lift_fresh lift_fresh_copy linspace masked_scatter
    meshgrid moveaxis movedim narrow new_full new_ones new_zeros numpy_T ones ones_like pad permute
    ravel reflection_pad1d reflection_pad2d repeat replication_pad1d replication_pad2d
    reshape reshape_as resolve_conj resolve_neg roll rot90 scalar_tensor scatter scatter_add scatter_reduce
    select select_scatter slice slice_scatter split split_with_sizes squeeze stack sub swapaxes t take
    take_along_dim tensor_split tile to transpose tril triu type_as unbind unflatten unfold unsqueeze
    unsafe_chunk unsafe_split view view_as vstack zeros zeros_like fft_fft2 fft_ifft2 fft_irfft2 fft_rfft2
    _fft_c2c _fft_c2r _fft_r2c view_as_complex view_as_real complex real imag
"""
_SIZES = "sym_is_contiguous sym_numel sym_size sym_storage_offset sym_stride size numel dim"
_ASSERTIONS = frozenset({"_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range"})
_COMPUTING = frozenset(" ".join((_POINTWISE, _REDUCING, _LAYERS, _SHAPES, _SIZES)).split())
_PYTHON = re.compile(
    r"_operator\.(add|sub|mul|floordiv|truediv|mod|neg|pos|eq|ne|lt|le|gt|ge|getitem|and_|or_|not_)"
    r"|math\.(ceil|floor|sqrt|trunc)"
    r"|torch\.sym_(int|float|max|min|not|sqrt|ite)"
)
_ATEN = re.compile(r"torch\.ops\.aten\.(\w+?)_?\.(\w+)")
#: A block that is computed without gradients; its graph is looked at as any other.
_BLOCK = "torch.ops.higher_order.wrap_with_set_grad_enabled"
#: The size of its result hangs on the values that it sees, so that it is not known beforehand.
_SIZED_BY_VALUES = "torch.ops.aten.where.default"
#: Modes that operators take as words.
_WORDS = frozenset(
    {
        "none", "tanh", "constant", "reflect", "replicate", "circular", "floor", "trunc", "ij", "xy",
        "bilinear", "bicubic", "nearest", "sum", "mean", "prod", "amax", "amin", "backward", "ortho", "forward",
        "fro", "nuc", "same", "valid",
    }
)  # fmt: skip
_EQUATION = re.compile(r"[A-Za-z., >-]{1,200}")
_ARGUMENTS = frozenset(
    {
        "as_none", "as_tensor", "as_tensors", "as_int", "as_ints", "as_float", "as_floats", "as_bool",
        "as_bools", "as_sym_int", "as_sym_ints", "as_sym_bool", "as_sym_bools", "as_sym_float",
        "as_sym_floats", "as_scalar_type", "as_memory_format", "as_layout", "as_device",
        "as_optional_tensor", "as_optional_tensors", "as_nested_tensors", "as_int_lists",
    }
)  # fmt: skip


def _aten(target: str) -> str:
    match = _ATEN.fullmatch(target)
    if not match or match.group(2).endswith("out") or target == _SIZED_BY_VALUES:
        return ""
    return match.group(1)


def is_allowed(target: str) -> bool:
    """Whether a program may call the operator of this dotted name."""
    name = _aten(target)
    return (
        name in _COMPUTING
        or f"{name}_" in _COMPUTING
        or name in _ASSERTIONS
        or target == _BLOCK
        or bool(_PYTHON.fullmatch(target))
    )


def strange_argument(target: str, argument: Any) -> str:
    """What an operator must not be given, in a few words, or "". argument: as the archive writes it, a
    mapping of one kind to its value.
    """
    if not isinstance(argument, dict) or len(argument) != 1:
        return f"an argument {argument!r:.60}"
    ((kind, value),) = argument.items()
    if kind == "as_string":
        return "" if _is_word(target, value) else f"the text {value!r:.60}"
    if kind == "as_graph":
        return "" if target == _BLOCK else "a graph"
    return "" if kind in _ARGUMENTS else f"an argument of kind {kind!r:.40}"


def _is_word(target: str, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    name = _aten(target)
    equation = name == "einsum" and bool(_EQUATION.fullmatch(value))
    return value in _WORDS or equation or name in _ASSERTIONS


# Texts in an exported program that torch evaluates: sizes and guards. Only short arithmetic passes.


_METHODS = {"size", "shape", "stride", "storage_offset", "dim", "ndim"}
#: What torch writes into sizes: sympy's arithmetic and its own integer functions.
_FUNCTIONS = frozenset(
    {
        "Add", "Mul", "Mod", "PythonMod", "ModularIndexing", "FloorDiv", "CeilDiv", "CleanDiv", "CeilToInt",
        "FloorToInt", "TruncToInt", "RoundToInt", "ToFloat", "IntTrueDiv", "FloatTrueDiv", "Max", "Min",
        "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "Not", "Where", "Rational", "Identity",
        "StrictGreaterThan", "GreaterThan", "StrictLessThan", "LessThan", "Equality", "Unequality",
        "Symbol", "Integer", "Float", "cast_symbool_to_symint_guardless",
    }
)  # fmt: skip
_NAMED_BY_TEXT = {"Symbol", "Integer", "Float"}
_TEXT = re.compile(r"[\w.+-]{1,80}")
_LONGEST = 2000
_LARGEST = 2**63
_NODES = (
    ast.Expression, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Constant,
    ast.Name, ast.Subscript,
    ast.Call, ast.Attribute, ast.Load, ast.keyword, ast.Tuple, ast.cmpop, ast.boolop, ast.unaryop,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow,
)  # fmt: skip
_HIGHEST_POWER = 4


def is_plain(text: str) -> bool:
    """Whether `text` is short arithmetic or a comparison of sizes: nothing else may be evaluated."""
    if len(text) > _LONGEST:
        return False
    try:
        nodes = list(ast.walk(ast.parse(text.strip(), mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
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
    if isinstance(node, ast.Constant):
        return _plain_constant(node, texts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _small(node.right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in _FUNCTIONS
    return not isinstance(node, ast.Call) or isinstance(node.func, ast.Attribute)


def _plain_constant(node: ast.Constant, texts: set[int]) -> bool:
    if isinstance(node.value, str):
        return id(node) in texts and bool(_TEXT.fullmatch(node.value))
    return isinstance(node.value, bool | int | float) and abs(node.value) < _LARGEST


def _small(power: ast.expr) -> bool:
    """A power that cannot make a number of a million digits."""
    return isinstance(power, ast.Constant) and power.value in range(_HIGHEST_POWER + 1)


# How much memory a network asks for, found without giving it any: shapes are computed, numbers are not.


#: Bytes of one result of an operator, and of all results together, for one image. The largest activation
#: of published classifiers, of EfficientNet-L2 at 800 px, has 0.3 GiB.
MOST_RESULT = 2**30
MOST_RESULTS = 32 * 2**30
FEWEST = 2  # batch 1 is a special case in many exported programs


class TooLarge(MemoryError):
    """An operator asks for more memory than any classifier needs."""


class _Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what operators return."""

    def __init__(self, images: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total: int = 0
        self.images = images

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._add(func, int(leaf.numel()) * leaf.element_size() // self.images)
        return result

    def _add(self, func: Callable[..., Any], size: int) -> None:
        self.total += size
        if size > MOST_RESULT:
            raise TooLarge(f"{func} makes a tensor of {size / 2**30:.3g} GiB per image")
        if self.total > MOST_RESULTS:
            raise TooLarge(f"its operators make more than {MOST_RESULTS // 2**30} GiB per image")


def bytes_per_image(module: nn.Module, side: int, batch: int = FEWEST) -> int:
    """Bytes that all operators of `module` return for one image of `side` x `side` pixels, together, when it is shown
    `batch` at once.

    Raises TooLarge beyond `MOST_RESULT` or `MOST_RESULTS`, and whatever a forward pass raises that fails.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        images = torch.empty((batch, 3, side, side))
        meter = _Meter(batch)
        with meter:
            module(images)
    return meter.total


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
    if not is_allowed(target):
        raise _Refused(f"its graph calls {target!r:.80}, which is not in the list of operators")
    for given in node["inputs"]:
        if strange := strange_argument(target, given["arg"]):
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
