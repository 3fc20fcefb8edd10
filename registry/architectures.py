"""Networks by name ("timm:NAME", "torchvision:NAME", "python:MODULE:FUNCTION", ...) are built without weights."""

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, cast

import torch
from torch import nn

from registry import OWN_PACKAGES
from registry.code import INSTALLED, NO_DATA, code_digest, imported_modules, source_file
from registry.convert import State
from registry.files import absence, digest_data, digest_file, expanded, is_file
from registry.user_errors import CardError, WeightsError, foreign, shown, some_of, unknown_name

# A factory's file, of "python:/home/me/net.py:build", is imported under its own stem, with its folder at the end of the
# path, so that its neighbours can be imported as they are where it is run as a script. Two modules of one name cannot
# live in one process: a file, or a neighbour that it imports, whose name is taken is refused, for another network would
# be built in silence.


def whole_arch(arch: str) -> str:
    """Return `arch` with the whole path of a .py file. Raises CardError if there is no such file."""
    place, _, function = arch.removeprefix("python:").rpartition(":")
    if not arch.startswith("python:") or not place.endswith(".py"):
        return arch
    path = expanded(place)
    if not is_file(path):
        raise CardError(f"arch '{shown(arch)}': there is no file {shown(path)}. Check the path.")
    return f"python:{path.resolve()}:{function}"


def module_of_file(place: str) -> ModuleType:
    """Import the .py file of a whole path once. Raises CardError if its name or a neighbour's is taken."""
    path = Path(place)
    if not path.is_absolute() or not is_file(path):
        raise CardError(f"{shown(path)} {absence(path)}: expected the whole path of a .py file.")
    _require_free(path.stem, path)
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)
        importlib.invalidate_caches()
    if path.stem not in sys.modules:
        neighbours, left = dict[str, Path](), [path]  # the modules beside it that it imports, and that these import
        while left:
            names = {module.partition(".")[0] for module in imported_modules(left.pop().read_bytes())}
            for name in names - neighbours.keys():
                beside = (path.parent / f"{name}.py", path.parent / name / "__init__.py")
                file = next((file for file in beside if file.is_file()), path)
                if file != path:
                    _require_free(name, file)
                    neighbours[name] = file
                    left.append(file)
        spec = spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None  # a .py file has a loader
        module = sys.modules[path.stem] = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[path.stem]
            raise
    return sys.modules[path.stem]


def _require_free(name: str, path: Path) -> None:
    loaded = sys.modules.get(name)
    spec = find_spec(name) if loaded is None else None
    there: str | None = getattr(loaded, "__file__", None) if spec is None else spec.origin
    if (loaded or spec) and (there is None or Path(there).resolve() != path.resolve()):
        taken = f"another module is called '{shown(name)}' ({shown(there or 'no file')})"
        raise CardError(f"{shown(path)}: {taken}. Rename the file.")


#: Of the program's own networks (`world_networks`, `simulated`): raised by hand when their answers change.
NETWORKS_VERSION = 2
#: Weights "random:SEED": the architecture as it starts training.
RANDOM = "random:"
SOURCES = (
    "timm:NAME, timm:hf_hub:ORG/NAME, torchvision:NAME, hf:ORG/NAME or FOLDER, open_clip:ARCH or FOLDER, "
    "python:MODULE:FUNCTION or FILE.py:FUNCTION, detector:python:..., export, onnx, api:FILE.yaml."
)
#: Keys that torchvision's published files spell in an older way.
_OLD_KEYS = (
    (re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)\."), r"\1\2."),
    (re.compile(r"\.mlp\.linear_1\."), ".mlp.0."),
    (re.compile(r"\.mlp\.linear_2\."), ".mlp.3."),
)


def split_arch(arch: str) -> tuple[str, str]:
    """ "timm:resnet50" -> ("timm", "resnet50"). Raises CardError for another form."""
    kind, _, name = arch.partition(":")
    if kind not in ("timm", "torchvision", "python") or not name:
        meant = archs_by_name().get(arch.lower())
        hint = f"did you mean {' or '.join(meant)}? E" if meant else "e"
        raise CardError(f"arch '{arch}': {hint}xpected {SOURCES}")
    return kind, name


@cache
def archs_by_name() -> dict[str, list[str]]:
    """Return the architectures of timm and torchvision by their names in small letters: vit_b_16 -> ..."""
    import timm
    from torchvision import models

    known: dict[str, list[str]] = {}
    for library, names in (("timm", timm.list_models()), ("torchvision", models.list_models(module=models))):
        for name in names:
            known.setdefault(name.lower(), []).append(f"{library}:{name}")
    return known


def require_known(arch: str) -> None:
    """Raise UnknownName, with close matches, for an architecture that its library does not have."""
    kind, name = split_arch(arch)
    if kind == "timm":
        import timm

        if not timm.is_model(name.split(".", maxsplit=1)[0]):
            raise unknown_name("timm architecture", name, timm.list_models())
    elif kind == "torchvision":
        from torchvision import models

        known = [*models.list_models(module=models), *models.list_models(module=models.detection)]
        if name not in known:
            raise unknown_name("torchvision architecture", name, known)


def factory(name: str) -> Callable[..., Any]:
    """Return the callable of "MODULE:FUNCTION" or "FILE:FUNCTION". Raises CardError if it cannot be imported."""
    place, _, function = name.rpartition(":")
    expected = "Expected python:MODULE:FUNCTION, importable (folder on PYTHONPATH?), or python:FILE.py:FUNCTION."
    with foreign("arch", f"'python:{name}'", CardError, expected, "cannot be imported"):
        module = module_of_file(place) if place.endswith(".py") else importlib.import_module(place)
        build: Callable[..., Any] | None = getattr(module, function, None)
    if not callable(build):
        own = [each for each, value in vars(module).items() if isinstance(value, FunctionType | type)]
        raise CardError(f"arch 'python:{name}': {place} has no function '{function}'; it has {some_of(own, 12)}.")
    return build


def build_network(arch: str, classes: int, kwargs: dict[str, Any] | None = None) -> nn.Module:
    """Build a network with `classes` outputs and random weights. The transform that a Python factory returns with it is
    its attribute `_transform`. Raises CardError, UnknownName, WeightsError."""
    kind, name = split_arch(arch)
    require_known(arch)
    kwargs = dict(kwargs or {})
    with foreign("arch", f"'{arch}'", WeightsError, failed="could not be built"):
        if kind == "python":
            function = factory(name)
            with foreign("arch", f"'python:{name}'", CardError, failed="fails"), opened_files() as opened:
                if "num_classes" in inspect.signature(function).parameters:
                    kwargs = {"num_classes": classes, **kwargs}
                made = function(**kwargs)
            module, *brought = made if isinstance(made, tuple) and made else (made,)
            if not isinstance(module, nn.Module) or len(brought) > 1 or not all(map(callable, brought)):
                kinds = ", ".join(type(part).__name__ for part in (module, *brought))
                raise CardError(f"arch 'python:{name}' returned {kinds}, not a module or (module, transform).")
            # The content of files that were read counts, not their names and places.
            read = digest_data(sorted(map(digest_file, filter(Path.is_file, opened)))) if opened else ""
            vars(module).update(_opened=read, _transform=brought[0] if brought else None)
            return module
        if kind == "timm":
            import timm

            return timm.create_model(name, pretrained=False, num_classes=classes, **kwargs)
        from torchvision import models

        if name in ("googlenet", "inception_v3"):  # their published weights need it
            kwargs = {"aux_logits": True, "transform_input": True, "init_weights": False, **kwargs}
        if name in models.list_models(module=models.detection):
            kwargs["weights_backbone"] = None  # else they are downloaded, to be written over
        return cast(nn.Module, models.get_model(name, weights=None, num_classes=classes, **kwargs))


def random_seed(weights: str | None) -> int | None:
    """Return the seed of "random:SEED"; None for weights of another kind. Raises CardError for an invalid number."""
    if weights is None or not weights.startswith(RANDOM):
        return None
    text = weights.removeprefix(RANDOM)
    if not re.fullmatch("[0-9]{1,18}", text):
        raise CardError(f"weights '{weights}': expected {RANDOM}SEED, a whole number such as 0.")
    return int(text)


def build_untrained(arch: str, classes: int, seed: int, kwargs: dict[str, Any] | None = None) -> nn.Module:
    """Return `build_network` with weights that the architecture draws from `seed`; torch's random state stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(arch, classes, kwargs)


_OPENED: ContextVar[set[Path] | None] = ContextVar("opened", default=None)


@contextmanager
def opened_files() -> Iterator[set[Path]]:
    """Collect the data files opened within the block, except files of the system and of installed packages."""
    _listen()
    opened = set[Path]()
    token = _OPENED.set(opened)
    try:
        yield opened
    finally:
        _OPENED.reset(token)


@cache
def _listen() -> None:
    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or (opened := _OPENED.get()) is None or not isinstance(arguments[0], str):
            return
        path, mode = Path(arguments[0]).absolute(), arguments[1] or "r"
        system = path.is_relative_to(sys.base_prefix) or path.parts[1:2] in (("proc",), ("sys",), ("dev",), ("etc",))
        if not (system or INSTALLED & {*path.parts} or {*"wax+"} & {*mode} or path.suffix in NO_DATA):
            opened.add(path)

    sys.addaudithook(note)


def source_code(arch: str, module: nn.Module) -> str:
    """Return the digest of a Python factory, of every class in its network, and of the local files that they import; an
    installed factory counts by its version. A library's architecture has "" (its version is in the environment row)."""
    kind, name = split_arch(arch)
    if kind != "python":
        return ""
    function, installed = factory(name), ""
    top = function.__module__.partition(".")[0]
    if top in OWN_PACKAGES:
        return digest_data([function.__qualname__, NETWORKS_VERSION])
    kinds = {type(part) for part in module.modules()} - {type(function)}
    classes = sorted(kinds, key=lambda kind: (kind.__module__, kind.__qualname__))
    if source_file(function.__module__) is None:
        installed = " ".join(sorted({version(name) for name in packages_distributions().get(top, ())}))
    brought = [own] if (own := vars(module).get("_transform")) is not None else []
    return code_digest(function, *classes, installed, vars(module).get("_opened", ""), *brought)


def renew_keys(state: State) -> State:
    """Replace torchvision's older spellings of keys by today's."""
    for pattern, replacement in _OLD_KEYS:
        state = {pattern.sub(replacement, name): tensor for name, tensor in state.items()}
    return state
