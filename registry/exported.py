"""Exported programs (`torch.export.save`, .pt2): opened only after a look at what opening and running them would do.

`torch.export.load` unpickles freely where an archive asks for it, evaluates the text of size expressions and guards,
and looks operators up by dotted name; some operators write files. So the archive is read here first: members, operators
and their arguments, expressions. Accepted members are copied into a new archive, and torch opens that checked copy. A
separate process measures time and memory; no operator of the list loops."""

import ast
import io
import json
import logging
import re
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from registry.checkpoints import refuse_onnx
from registry.containment import require_proof
from registry.errors import WeightsError, foreign, shown
from registry.files import WeightSources, absence, is_file

#: The operators of torch.ops.aten that a program may call, and their in-place forms (`relu_`): pure computation on
#: tensors and sizes. None takes a path, reads or writes a file, draws random numbers, returns uninitialised memory, or
#: calls anything by name.
_OPERATORS = """
    abs acos acosh add addbmm addcdiv addcmul addmm addmv alias all alpha_dropout amax amin any arange argmax argmin
    argsort as_strided asin asinh atan atan2 atanh avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d
    adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool2d baddbmm batch_norm bilinear bitwise_and bitwise_not
    bitwise_or bitwise_xor bmm broadcast_tensors broadcast_to bucketize cat ceil celu channel_shuffle chunk clamp
    clamp_max clamp_min clip clone col2im complex concat constant_pad_nd contiguous conv1d conv2d conv3d
    conv_transpose1d conv_transpose2d convolution copy cos cosh cosine_similarity cummax cummin cumprod cumsum
    cumulative_trapezoid deg2rad detach diag diag_embed diagonal dim div divide dot dropout dstack einsum elu embedding
    eq erf erfc exp exp2 expand expand_as expm1 eye feature_dropout fft_fft2 fft_ifft2 fft_irfft2 fft_rfft2 fill flatten
    flip floor floor_divide fmod frac frobenius_norm full full_like gather ge gelu glu greater greater_equal
    grid_sampler grid_sampler_2d group_norm gt hardshrink hardsigmoid hardswish hardtanh hstack hypot im2col imag index
    index_add index_copy index_fill index_put index_select inner instance_norm interpolate isfinite isin isinf isnan
    layer_norm le leaky_relu lerp less less_equal lift_fresh lift_fresh_copy linalg_norm linalg_vector_norm linear
    linspace log log10 log1p log2 log_sigmoid log_softmax logaddexp logical_and logical_not logical_or logical_xor logit
    logsumexp lstm lt masked_fill masked_scatter matmul max max_pool1d max_pool2d max_pool2d_with_indices max_pool3d
    maximum mean median meshgrid min minimum mish mm moveaxis movedim mul multiply mv nan_to_num narrow
    native_batch_norm native_dropout native_group_norm native_layer_norm ne neg negative new_full new_ones new_zeros
    norm normalize not_equal numel numpy_T ones ones_like outer pad permute pixel_shuffle pixel_unshuffle pow prelu prod
    ravel real reciprocal reflection_pad1d reflection_pad2d relu relu6 remainder repeat replication_pad1d
    replication_pad2d reshape reshape_as resolve_conj resolve_neg rms_norm roll rot90 round rsqrt rsub scalar_tensor
    scaled_dot_product_attention scatter scatter_add scatter_reduce select select_scatter selu sgn sigmoid sign silu sin
    sinc sinh size slice slice_scatter softmax softplus softshrink softsign sort split split_with_sizes sqrt square
    squeeze stack std std_mean sub subtract sum swapaxes sym_is_contiguous sym_numel sym_size sym_storage_offset
    sym_stride t take take_along_dim tan tanh tanhshrink tensor_split tensordot threshold tile to topk transpose tril
    triu true_divide trunc type_as unbind unflatten unfold unsafe_chunk unsafe_split unsqueeze upsample_bicubic2d
    upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d var var_mean view view_as
    view_as_complex view_as_real vstack where xlogy zero zeros zeros_like _adaptive_avg_pool2d _adaptive_avg_pool3d
    _assert_scalar _assert_tensor_metadata _fft_c2c _fft_c2r _fft_r2c _log_softmax _native_batch_norm_legit_no_training
    _reshape_alias _safe_softmax _scaled_dot_product_attention_math _scaled_dot_product_efficient_attention
    _scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu _softmax _thnn_fused_gru_cell
    _to_copy _trilinear _unsafe_view _upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_nearest_exact2d
    _weight_norm _weight_norm_interface sym_constrain_range
"""
OPERATORS = frozenset(_OPERATORS.split())
#: An operator of the list in any overload but those that write into a given tensor; arithmetic of Python on sizes; and
#: a block without gradients, whose own graph is looked at, too. `where` without values has a size that hangs on them.
_BLOCK = "torch.ops.higher_order.wrap_with_set_grad_enabled"
_ATEN = re.compile(r"torch\.ops\.aten\.(?!where\.default)(\w+?)_?\.(?!\w*out\b)\w+")
_PYTHON = re.compile(
    r"_operator\.(add|sub|mul|floordiv|truediv|mod|neg|pos|eq|ne|lt|le|gt|ge|getitem|and_|or_|not_)"
    r"|math\.(ceil|floor|sqrt|trunc)|torch\.sym_(int|float|max|min|not|sqrt|ite)"
)
#: The kinds of their arguments, and the words among these: modes, and the equation of `einsum`.
_KINDS = re.compile(r"as_(none|(optional_|nested_)?tensors?|(sym_)?(int|float|bool)s?|int_lists"
                    r"|scalar_type|memory_format|layout|device)")  # fmt: skip
_WORDS = re.compile(
    r"none|tanh|constant|reflect|replicate|circular|floor|trunc|ij|xy|bilinear|bicubic|nearest|sum|mean|prod|amax|amin"
    r"|backward|ortho|forward|fro|nuc|same|valid"
)
_ASSERTIONS = ("_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range")
_EQUATION = re.compile(r"[A-Za-z., >-]{1,200}")

#: Texts that torch evaluates: sizes and guards. Only arithmetic passes, of sympy's and torch's own functions.
_FUNCTIONS_TEXT = """
    Add Mul Mod PythonMod ModularIndexing FloorDiv CeilDiv CleanDiv CeilToInt FloorToInt TruncToInt RoundToInt ToFloat
    IntTrueDiv FloatTrueDiv Max Min Eq Ne Lt Le Gt Ge And Or Not Where Rational Identity StrictGreaterThan GreaterThan
    StrictLessThan LessThan Equality Unequality Symbol Integer Float cast_symbool_to_symint_guardless
"""
_FUNCTIONS = frozenset(_FUNCTIONS_TEXT.split())
_NODES = (
    ast.Expression, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Subscript, ast.Load, ast.keyword, ast.Tuple,
    ast.cmpop, ast.boolop, ast.unaryop, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow,
)  # fmt: skip
_TEXT = re.compile(r"(?!.*__)[\w.+-]{1,80}")

#: Members of an archive of plain tensors.
_MEMBERS = re.compile(
    r"(data/(weights|constants|sample_inputs)/[\w.-]+|models/[\w.-]+\.json|extra/[\w./-]*"
    r"|archive_format|archive_version|byteorder|\.data/[\w.-]+|\.format_version)"
)

_REFUSED = (
    "It was refused before it was run. Save it again with a current `torch.export.save`, from a model of plain tensors "
    "and operators; or register the network itself with --arch python:MODULE:FUNCTION."
)


def is_plain(text: str) -> bool:
    """Whether `text` is arithmetic or a comparison of sizes: nothing else may be evaluated."""

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


def _checked_member(archive: ZipFile, full: str) -> bytes:
    """What torch is given of a member. Raises ValueError if that would do anything but hold numbers."""
    name, member = full.partition("/")[2], archive.getinfo(full)
    if not _MEMBERS.fullmatch(name) or ".." in full:
        raise ValueError(f"it holds {full}, which a program of plain tensors does not")
    if member.compress_type != ZIP_STORED:
        raise ValueError(f"it holds {full} compressed, which torch never writes")
    if name.startswith("data/sample_inputs/"):
        return b""  # a pickle that nothing needs
    if name.endswith(".pt") and member.file_size:
        raise ValueError(f"{name} is in an old, pickled format")
    content = archive.read(full)
    if name.startswith("models/"):
        _check_graph(json.loads(content))
    elif name.endswith("_config.json"):
        # Weights and constants are raw numbers of a member of their own, and no more than that holds.
        for key, entry in json.loads(content).get("config", {}).items():
            place = str(entry.get("path_name", ""))
            if entry.get("use_pickle", True) or not re.fullmatch(r"(weight|tensor)_\w+", place):
                raise ValueError(f"it keeps '{key}' as a pickle")
    return content


def checked_archive(path: Path) -> io.BytesIO:
    """Return a copy of the archive, after a look at every member. Raises WeightsError if opening or running it would do
    anything but compute with its tensors."""
    if not is_file(path):
        raise WeightsError(f"exported program {shown(path)} {absence(path)}. Check the path.")
    copy = io.BytesIO()
    with (
        foreign("exported program", path, WeightsError, _REFUSED),
        ZipFile(path) as archive,
        ZipFile(copy, "w", ZIP_STORED) as checked,
    ):
        names = archive.namelist()
        if len(set(names)) != len(names):
            raise ValueError("it holds two members of one name")
        for full in names:
            checked.writestr(full, _checked_member(archive, full))
    copy.seek(0)
    return copy


class FixedBatch(nn.Module):
    """A program that was exported for `batch` images: more are shown in turns, the last turn filled up with copies of
    its last image."""

    def __init__(self, program: nn.Module, batch: int) -> None:
        super().__init__()
        self.program, self.batch = program, batch

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, 3, h, w) to the program's output for each image."""
        answers = []
        for start in range(0, len(images), self.batch):
            part = images[start : start + self.batch]
            lacking = self.batch - len(part)
            whole = torch.cat([part, part[-1:].expand(lacking, -1, -1, -1)]) if lacking else part
            output = self.program(whole)
            rows = output if isinstance(output, Tensor) else next(iter(tree_leaves(output)))
            answers.append(rows[: len(part)])
        return torch.cat(answers)


def _opened(copy: io.BytesIO) -> tuple[nn.Module, int | None]:
    """Return the program of a checked archive as a module, and how many images it takes, None for any."""
    # torch writes the traceback of an archive that it cannot read into its log, before it raises it.
    log = logging.getLogger("torch.export")
    before, log.disabled = log.disabled, True
    try:
        program = torch.export.load(copy)
    finally:
        log.disabled = before
    argument = next(iter(program.graph_signature.user_inputs))
    shape = next(node.meta["val"].shape for node in program.graph.nodes if node.name == argument)
    return program.module(), int(shape[0]) if isinstance(shape[0], int) else None


def prove(path: Path, side: int) -> None:
    """Show the program two images: one is a special case in many."""
    torch.set_num_threads(2)
    module, batch = _opened(checked_archive(path))
    with torch.no_grad():
        module(torch.zeros((batch or 2, 3, side, side)))


def load_exported(path: Path, side: int, place: WeightSources) -> nn.Module:
    """Return the program as a module, for images of `side` pixels. It was exported in the mode that it runs in: export
    it from `model.eval()`.

    Raises WeightsError: missing, refused, unreadable, not for such images, or asking for too much memory or time."""
    refuse_onnx(path)
    content = (copy := checked_archive(path)).getbuffer()
    require_proof("torch", __name__, path, side, place, (sha256(content).hexdigest(), len(content)))
    with foreign("exported program", path, WeightsError):
        module, batch = _opened(copy)
    return module if batch is None else FixedBatch(module, batch)
