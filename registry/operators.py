"""The operators that an exported program may call: pure computation on tensors and sizes.

None takes a path, reads or writes a file, draws random numbers, returns uninitialised memory, or calls
anything by name. In-place forms (`relu_`) of those listed are allowed, too.
"""

from __future__ import annotations

import re
from typing import Any

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
