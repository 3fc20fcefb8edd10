"""Image classifiers of transformers: "hf:ORG/NAME" of the hub, or "hf:FOLDER" with config.json and safetensors.

Nothing of a repository is executed: its own code is not loaded, and weights are safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from registry.caches import Place
from registry.cards import ModelCard
from registry.digests import digest_data
from registry.documents import MOST_BYTES, shown
from registry.errors import CardError, WeightsError
from registry.families.extras import library
from registry.families.family import Asked, Described, Sources
from registry.families.hub_files import repository_folder
from registry.families.named_outputs import labels_of_names
from registry.families.processors import stated_by_processor
from registry.places import expanded, is_file, is_folder

CONFIG = "config.json"
_FILES = (CONFIG,)
_OPTIONAL = (
    "preprocessor_config.json", "model.safetensors", "model.safetensors.index.json",
    "model-*.safetensors",
)  # fmt: skip
#: Entries of config.json that decide no answer.
_SILENT = frozenset(
    {
        "id2label",
        "label2id",
        "transformers_version",
        "_name_or_path",
        "architectures",
        "dtype",
        "torch_dtype",
    }
)


def describe(asked: Asked) -> Described:
    """What a card says of a classifier of transformers."""
    place = asked.arch or asked.weights or ""
    if asked.arch and asked.weights:
        raise CardError(
            f"hf:{shown(asked.arch)} has its weights with it: --weights is not for it. A folder of one's own: "
            "--arch hf:FOLDER."
        )
    folder = _folder(place, asked.hub)
    config = _config(folder)
    local = is_folder(expanded(place))
    names = _names(config)
    given = (
        "imagenet1k" if asked.bare else asked.labels
    )  # a head that follows has labels of its own
    labels, rows, files = labels_of_names(names, given, asked.name, asked.folder)
    revision = folder.name if folder.parent.name == "snapshots" else ""
    arch = str(config.get("model_type", "")) if local else place.partition("@")[0]
    return Described(
        source="file" if local else "hub",
        arch=f"hf:{arch}" + (f"@{revision}" if revision and not local else ""),
        weights=str(folder.resolve()) if local else None,
        labels=labels,
        options={} if local else {"repository": place.partition("@")[0]},
        stated=stated_by_processor(folder, config),
        rows=tuple(rows),
        files=tuple(files),
    )


def network(
    card: ModelCard, sources: Sources, outputs: int, *, bare: bool
) -> tuple[nn.Module, str]:
    """The classifier of a card, or bare: the features under it; and the digest of its configuration."""
    folder = _folder(card.weights or card.arch.removeprefix("hf:"), sources.hub)
    config = _config(folder)
    silent = {name: value for name, value in config.items() if name not in _SILENT}
    module = _features(folder) if bare else _classifier(folder)
    if not bare and len(_names(config)) != outputs:
        raise WeightsError(
            f"{shown(folder)} has {len(_names(config))} outputs, the label space '{card.labels}' {outputs}."
        )
    return module.eval(), digest_data(silent)


def _folder(place: str, hub: Place) -> Path:
    folder = expanded(place)
    if not is_folder(folder):
        return repository_folder(place, hub, _FILES, _OPTIONAL)
    if not is_file(folder / CONFIG):
        raise CardError(f"{shown(folder)} is a folder without {CONFIG}: no model of transformers.")
    return folder


def _config(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG
    if file.stat().st_size > MOST_BYTES:
        raise CardError(f"{shown(file)} is larger than {MOST_BYTES // 2**20} MiB: not read.")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CardError(f"{shown(file)} cannot be read as JSON ({error}).") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise CardError(
            f"{shown(file)} names no model_type, so it is no model of transformers. A folder of timm: "
            "`--weights FOLDER` without --arch."
        )
    if not any(folder.glob("*.safetensors")):
        raise WeightsError(
            f"{shown(folder)} holds no .safetensors; other weights are not read. Convert them once, where you trust "
            "them: `AutoModelForImageClassification.from_pretrained(FOLDER).save_pretrained(NEW)`."
        )
    return config


def _names(config: dict[str, Any]) -> list[str]:
    """Names of the outputs, in their order."""
    named = config.get("id2label")
    if named is None:
        return [f"LABEL_{i}" for i in range(int(config.get("num_labels", 2)))]
    try:
        pairs = sorted((int(index), str(name)) for index, name in named.items())
        if [index for index, _ in pairs] != list(range(len(pairs))):
            raise ValueError("indices are not 0, 1, 2, ...")
    except (AttributeError, ValueError, TypeError) as error:
        raise CardError(f"{CONFIG}: id2label: expected index -> name ({error}).") from error
    return [name for _, name in pairs]


class Answers(nn.Module):
    """A classifier of transformers that answers with its logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to logits [n, classes]."""
        logits: Tensor = self.network(pixel_values=x).logits
        return logits


class Features(nn.Module):
    """A backbone of transformers. pooled: whether what it pools was trained; else the first token stands for the image
    (the class token), or the mean over places of a feature map.
    """

    def __init__(self, network: nn.Module, *, pooled: bool) -> None:
        super().__init__()
        self.network = network
        self.pooled = pooled

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to features [n, d]."""
        output = self.network(pixel_values=x)
        pooled = getattr(output, "pooler_output", None)
        features: Tensor = (
            pooled if self.pooled and pooled is not None else output.last_hidden_state
        )
        if features.dim() == 3:
            return features[:, 0]
        return features.flatten(2).mean(dim=2) if features.dim() == 4 else features


def _classifier(folder: Path) -> nn.Module:
    module, lacking = _loaded("AutoModelForImageClassification", folder)
    if lacking:
        raise WeightsError(
            f"{shown(folder)} lacks {len(lacking)} weights of its classifier: {', '.join(sorted(lacking)[:5])}. If it "
            "is a backbone, `bench probe hf:...` fits a classifier on its features."
        )
    return Answers(module)


def _features(folder: Path) -> nn.Module:
    module, lacking = _loaded("AutoModel", folder)
    pooler = {name for name in lacking if name.startswith("pooler.")}
    if lacking - pooler:
        others = sorted(lacking - pooler)
        raise WeightsError(
            f"{shown(folder)} lacks {len(others)} weights of its backbone: {', '.join(others[:5])}."
        )
    return Features(module, pooled=not pooler)


def _loaded(kind: str, folder: Path) -> tuple[nn.Module, set[str]]:
    """A network of one of transformers' kinds, and the names of weights that its files lack."""
    transformers = library("transformers", "hf", "arch 'hf:...'")
    with _quiet(transformers):
        try:
            module, found = getattr(transformers, kind).from_pretrained(
                folder, use_safetensors=True, trust_remote_code=False, local_files_only=True,
                output_loading_info=True, dtype="float32",
            )  # fmt: skip
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise WeightsError(
                f"{shown(folder)}: transformers could not build its network ({type(error).__name__}: {shown(reason)}). "
                "Expected an image classifier of the library itself: code of a repository is not run."
            ) from error
    misfits = [str(one[0] if isinstance(one, tuple) else one) for one in found["mismatched_keys"]]
    return module, {*found["missing_keys"], *misfits}


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without the library's reports and progress bars: what matters of them is in an error."""
    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()
