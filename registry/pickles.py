"""Checkpoint files as plain content: safetensors, or a pickle of which nothing runs.

`torch.load(weights_only=True)` takes tensors and plain containers. What training scripts save beside them
(`args`, numpy scalars, paths, configurations) is on a list of names below. None of these is imported: an inert
stand-in takes the place of each, so that a file can only ever make tensors, containers and stand-ins.
"""

from __future__ import annotations

import json
import pickle
import re
import shlex
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import torch

from registry.documents import shown
from registry.errors import WeightsError
from registry.files import absence, is_file

#: Where training scripts put the state dict. Averaged (EMA) weights come first: they are what
#: their authors evaluate.
WRAPPERS = (
    "state_dict_ema", "model_ema", "ema", "ema_state_dict",
    "state_dict", "model_state_dict", "model", "net", "shadow", "module",
)  # fmt: skip
_NUMBERS = ("Bool", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float16", "Float32",
            "Float64", "Complex64", "Complex128", "Str", "Bytes", "Object", "DateTime64", "LongLong")  # fmt: skip
#: Objects whose content is no weights.
HARMLESS_OBJECTS = (
    "argparse.Namespace", "types.SimpleNamespace",
    *(f"pathlib{room}.{kind}" for room in ("", "._local") for kind in (
        "Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")),
    *(f"numpy.{room}.multiarray.{name}" for room in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *(f"numpy.{room}.numeric._frombuffer" for room in ("core", "_core")),
    *(f"numpy.dtypes.{kind}DType" for kind in _NUMBERS), "numpy.dtype", "numpy.ndarray",
    "datetime.datetime", "datetime.date", "datetime.timedelta", "datetime.timezone", "uuid.UUID",
    "decimal.Decimal", "fractions.Fraction", "typing.Any",
    "builtins.frozenset", "builtins.slice", "builtins.range",
    "builtins.dict", "builtins.list", "builtins.tuple", "builtins.int", "builtins.float", "builtins.bool",
    "builtins.str",
    "omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig",
    "omegaconf.base.ContainerMetadata", "omegaconf.base.Metadata", "omegaconf.base.SCMode",
    *(f"omegaconf.nodes.{kind}Node" for kind in (
        "Any", "String", "Integer", "Float", "Boolean", "Enum", "Path", "Bytes", "InterpolationResult")),
    *(f"{room}.callbacks.{module}.{kind}" for room in ("pytorch_lightning", "lightning.pytorch")
      for module, kind in (("model_checkpoint", "ModelCheckpoint"), ("early_stopping", "EarlyStopping"))),
)  # fmt: skip
#: Dictionaries of other libraries: their entries are kept, for one may hold the state dict.
HARMLESS_MAPPINGS = (
    "collections.defaultdict", "yacs.config.CfgNode", "easydict.EasyDict", "addict.addict.Dict",
    "ml_collections.config_dict.config_dict.ConfigDict", "mmengine.config.config.ConfigDict",
    "mmcv.utils.config.ConfigDict", "munch.Munch",
    "pytorch_lightning.utilities.parsing.AttributeDict", "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
)  # fmt: skip
HARMLESS_LISTS = ("collections.deque",)
_GLOBAL = re.compile(r"(?:GLOBAL|global) ([\w.<>]+)")


class _Inert:
    """Stands for an object of a checkpoint that is no weights: takes whatever it is given and does nothing."""

    def __new__(cls, *_args: object) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_args: object) -> None:
        pass

    def __setstate__(self, _state: object) -> None:
        pass


class _Entries:
    """Stands for another library's dictionary: calling it makes an ordinary one."""

    def __new__(cls, *_args: object) -> Any:
        return OrderedDict()


class _List:
    """Stands for another library's list: calling it makes an ordinary one."""

    def __new__(cls, *_args: object) -> Any:
        return []


def _stand_ins() -> list[Any]:
    return [
        *((_Inert, name) for name in HARMLESS_OBJECTS),
        *((_Entries, name) for name in HARMLESS_MAPPINGS),
        *((_List, name) for name in HARMLESS_LISTS),
    ]


def first_line(error: Exception) -> str:
    """The first line of an error, fit for a terminal; its kind where it says nothing."""
    text = shown(str(error).strip().split("\n", 1)[0])
    return (text if len(text) <= 300 else f"{text[:297]}...") or type(error).__name__


def conversion(path: Path) -> str:
    """What to do about a file that only a free unpickling can read: a command to be pasted as it is."""
    target = path.with_suffix(".safetensors")
    code = (
        f"import torch, safetensors.torch as st; c = torch.load({json.dumps(str(path))}, "
        'map_location="cpu", weights_only=False); '
        f"c = next((c[k] for k in {json.dumps(WRAPPERS)} if isinstance(c, dict) and k in c), c); "
        'c = c.state_dict() if hasattr(c, "state_dict") else c; '
        "st.save_file({n: t.detach().clone().contiguous() for n, t in c.items() if torch.is_tensor(t)}, "
        f"{json.dumps(str(target))})"
    )
    return (
        "Convert it once, where you trust it (this runs whatever code the file holds): "
        f"python -c {shlex.quote(code)} and register {shown(target)}."
    )


def require_honest_size(file: Path | IO[bytes], size: int, name: str) -> None:
    """Raise WeightsError for a zip archive that unpacks to far more than its size in bytes: torch stores
    tensors as they are, so only a bomb does. Other files pass.
    """
    if not is_zipfile(file):
        return
    with ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > 2 * size + 2**20:
        raise WeightsError(
            f"checkpoint {name} has {size} bytes and unpacks to {unpacked}: refused. torch stores "
            "tensors uncompressed; save it again with `torch.save`."
        )


def refuse_onnx(path: Path) -> None:
    """Raise WeightsError, with the way in, for an ONNX program: no gradient passes through one, and its weights have
    lost their names.
    """
    if path.suffix == ".onnx":
        raise WeightsError(
            f"{shown(path)} is an ONNX program: no gradient passes through it, so it is not read. Where the network is "
            'still at hand, torch.export.save(torch.export.export(model.eval(), (images,)), "net.pt2") saves it for '
            "--arch export, and torch.save(model.state_dict(), ...) for its architecture; from ONNX alone, onnx2torch "
            "makes a network that either can save."
        )


def _require_state(path: Path) -> None:
    """Raise WeightsError, with the way in, for a file that is a program and no state dict."""
    refuse_onnx(path)
    if not is_zipfile(path):
        return
    with ZipFile(path) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
    if "constants.pkl" in names:
        raise WeightsError(
            f"{path} is a TorchScript program (torch.jit.save), not a state dict. Take its weights once, where you "
            f"trust it: python -c {shlex.quote(_unscripted(path))} and register that file; or save the network "
            "itself with torch.export and register that with --arch export."
        )
    if any(name.startswith(("models/", "serialized_exported_program")) for name in names):
        raise WeightsError(
            f"{path} is an exported program (torch.export), not a state dict: register it with --arch export."
        )


def _unscripted(path: Path) -> str:
    target = path.with_suffix(".safetensors")
    return (
        "import torch, safetensors.torch as st; "
        f's = torch.jit.load({json.dumps(str(path))}, "cpu").state_dict(); '
        f"st.save_file({{n: t.clone().contiguous() for n, t in s.items()}}, {json.dumps(str(target))})"
    )


def _unpickle(path: Path) -> Any:
    try:
        require_honest_size(path, path.stat().st_size, str(path))
        _require_state(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals(_stand_ins()):
            warnings.simplefilter("ignore")  # what matters of it is in the error
            return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except (Exception, BadZipFile) as error:
        why = first_line(error)
        if isinstance(error, pickle.UnpicklingError):
            if _is_pickle(path, str(error)):
                raise _refusal(path, error) from error
            why = "neither a zip archive nor a pickle"  # torch's own words are about trust
        raise WeightsError(
            f"checkpoint {path} cannot be read ({why}): truncated, or no PyTorch "
            "checkpoint. Expected .safetensors, or .pt/.pth holding a state dict."
        ) from error


def _is_pickle(path: Path, said: str) -> bool:
    """Whether a file that is not unpickled is a pickle, and no text or a page of the web that was saved as one."""
    if _GLOBAL.search(said) or is_zipfile(path):
        return True
    with path.open("rb") as file:
        return file.read(1) == pickle.PROTO


def _refusal(path: Path, error: pickle.UnpicklingError) -> WeightsError:
    named = _GLOBAL.search(str(error))
    what = f"'{shown(named[1])[:200]}'" if named else "more than tensors"
    reason = "" if named else f" ({first_line(error)})"
    return WeightsError(
        f"checkpoint {path} is a pickle that holds {what}, which is neither a tensor nor on the list of harmless "
        f"objects; it was refused before any of it ran{reason}. {conversion(path)}"
    )


def _read_safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except Exception as error:
        raise WeightsError(
            f"checkpoint {path} is no intact safetensors file ({first_line(error)}). Fetch or save "
            "it again."
        ) from error


def read_content(path: Path) -> Any:
    """What a checkpoint holds, on the CPU: tensors, containers, plain values and inert objects.

    Raises WeightsError: no such file, unreadable, a refused pickle, or a program.
    """
    if not is_file(path):
        raise WeightsError(
            f"checkpoint {shown(path)} {absence(path)}. Check the path, or register the model again."
        )
    return _read_safetensors(path) if path.suffix == ".safetensors" else _unpickle(path)
