"""What a card's `weights` and `options` may say. Raises ValueError with what was expected.

A card is data: whatever it names, loading it must not run code of its author's. So what is handed to
timm and torchvision is a fixed list of keyword arguments that shape a network; none of them can name a
file or a function.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

#: Keyword arguments of timm and torchvision networks that a card may set.
KEYWORDS = frozenset(
    {
        "act_layer", "aux_logits", "class_token", "depth", "depths", "drop_path_rate", "drop_rate",
        "dynamic_img_pad", "dynamic_img_size", "embed_dim", "embed_dims", "global_pool", "img_size",
        "in_chans", "init_values", "init_weights", "mlp_ratio", "norm_layer", "num_classes", "num_heads",
        "output_stride", "patch_size", "qkv_bias", "reg_tokens", "stem_type", "stem_width",
        "strict_img_size", "transform_input", "width_mult", "window_size",
    }
)  # fmt: skip
_TEXTS = (
    *("convert", "file", "head", "install", "key", "prompts", "repository", "templates"),
    *("text_head", "trained_on"),
)
_OPTIONS = (*_TEXTS, "boxes", "kwargs", "p", "answer")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_PACKAGE = re.compile(r"package:[A-Za-z_]\w*/[\w.*+-]+(/[\w.*+-]+)*")
_BUILTIN = re.compile(r"builtin:[\w.-]+(/[\w.-]+)*")
_LONGEST_NAME = 200
#: Of a number that shapes a network: depth, width, pixels.
_LARGEST = 4096


def is_url(text: str | None) -> bool:
    """Whether a card's `weights` is to be downloaded."""
    return bool(text) and str(text).startswith(("http://", "https://"))


def file_name(url: str) -> str:
    """The file's name in the last part of the URL's path, percent-decoded: one plain name.

    Raises ValueError where decoding makes anything else of it: a path, a hidden file, nothing.
    """
    name = unquote(urlsplit(url).path.rpartition("/")[2], errors="strict")
    plain = name.isprintable() and len(name.encode()) <= _LONGEST_NAME
    if not name or name.startswith(".") or set(name) & set('/\\:*?"<>|') or not plain:
        raise ValueError(f"a URL that ends in a plain file name, not in {name[:80]!r}")
    return name


def require_weights(weights: str | None) -> None:
    """Check the form of a card's `weights`."""
    if is_url(weights):
        file_name(str(weights))
    elif weights and weights.startswith(("package:", "builtin:")):
        plain = _PACKAGE.fullmatch(weights) or _BUILTIN.fullmatch(weights)
        if not plain or ".." in weights:
            raise ValueError("package:PACKAGE/PATH or builtin:PATH, with a path that stays inside")


def require_options(options: Mapping[str, Any], *, code: bool, ideal: bool) -> None:
    """Check a card's `options`. code: the architecture is a Python function, which is code anyway: its
    keyword arguments are its own; ideal: an ideal observer, whose rule may take options of its own.
    """
    for name, value in options.items():
        if name not in _OPTIONS and not ideal:
            raise ValueError(
                f"options: no option is called {name!r}; they are {', '.join(_OPTIONS)}"
            )
        if name in _TEXTS and not isinstance(value, str):
            raise ValueError(f"options.{name}: text, found {type(value).__name__}")
    if not isinstance(options.get("p", 0.5), int | float):
        raise ValueError("options.p: a number")
    if not isinstance(options.get("answer", 0), int):
        raise ValueError("options.answer: a whole number")
    if not isinstance(options.get("boxes", {}), Mapping):
        raise ValueError("options.boxes: a mapping of columns, outputs and threshold")
    _require_keywords(options.get("kwargs", {}), code)


def _require_keywords(given: Any, code: bool) -> None:
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise ValueError("options.kwargs: a mapping of keyword arguments")
    if code:
        return
    for name, value in given.items():
        if name not in KEYWORDS:
            raise ValueError(
                f"options.kwargs: a card may not set {name!r}; it may set {', '.join(sorted(KEYWORDS))}"
            )
        if not _shapes(value):
            raise ValueError(
                f"options.kwargs.{name}: a number, a truth value, a word or a list of these"
            )


def _shapes(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_WORD.fullmatch(value))
    if isinstance(value, list):
        return len(value) <= 64 and all(_shapes(inner) for inner in value)
    return value is None or (isinstance(value, bool | int | float) and abs(value) <= _LARGEST)
