"""ONNX files: networks of any library, run by onnxruntime. They give only decisions. The file specifies the input's
name, layout, type and size; its tensors may be in other files of its own folder."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from registry.cards import ModelCard
from registry.convert import write_beside
from registry.determinism_checks import pictures
from registry.families.exported import FixedBatch
from registry.families.family import Draft
from registry.families.predict import are_probabilities, log_probabilities
from registry.files import WeightSources, absence, digest_data, digest_file, expanded, is_file
from registry.preprocessing import StatedInput
from registry.programs import TYPES, onnx_session, prove_onnx, require_proof, run_session
from registry.user_errors import AnswerError, CardError, Remedy, WeightsError, foreign, library, shown

#: Seconds for a batch: a file that its proof showed to be quick may loop on other images.
DEADLINE = 300.0
_EXPECTED = "Expected one input of square images, [n, 3, h, w] or [n, h, w, 3], and an output [n, classes]."


def describe(draft: Draft, _folder: Path, place: WeightSources) -> Draft:
    """Return the draft of a file: its size and layout. Raises WeightsError, CardError."""
    if draft.weights is None:
        raise CardError("arch 'onnx' needs --weights NET.onnx.")
    path = expanded(draft.weights).absolute()
    program, scores = _Program(path, 0, place), _scores_of(path)

    def without_choice() -> Path:
        onnx = library("onnx", "onnx", "arch 'onnx'")
        with foreign("ONNX file", path, WeightsError, "It cannot be converted."):
            model = onnx.load_model(str(path))
            inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
            known = next((value for value in inferred if value.name == scores), None)
            del model.graph.output[:]
            model.graph.output.append(known or onnx.helper.make_tensor_value_info(scores, onnx.TensorProto.FLOAT, None))
            data = model.SerializeToString()
        return write_beside(path, data, ".onnx")

    if scores is not None:
        text = f"{shown(path)} answers with the number of a class, whose score its last step (ArgMax) drops"
        hint = "--convert writes a file without that step beside it."
        raise WeightsError(f"{text}. {hint}", Remedy(write=without_choice))
    fields: dict[str, Any] = {"fixed_size": program.side is not None}
    if program.side is not None:
        fields |= {"size": program.side, "resize": round(program.side * 256 / 224)}
    stated = StatedInput(fields, f"input '{shown(program.name)}' of {path.name}")
    return replace(draft, source="onnx", arch="onnx", weights=str(path), options={}, stated=stated)


def network(card: ModelCard, place: WeightSources, outputs: int, *, bare: bool) -> tuple[nn.Module, str]:
    """Return the file as a network. The state contains its digest instead of its hidden weights."""
    if bare or card.preprocess is None or card.weights is None:
        raise CardError(f"'{card.name}' is an ONNX file: its features cannot be taken.")
    program, size = _Program(Path(card.weights), outputs, place, card.preprocess.size), card.preprocess.size
    if program.side not in (None, size):
        raise WeightsError(f"{card.weights} takes images of {program.side} px, not of {size}. Leave --size out.")
    module = program if program.batch is None else FixedBatch(program, program.batch)
    with foreign("ONNX file", card.weights, WeightsError, _EXPECTED), torch.inference_mode():
        answers = module(pictures(4, size))
    program.normalised = answers.dim() == 2 and are_probabilities(answers.numpy())
    return module.eval(), ""


def _scores_of(path: Path) -> str | None:
    """Return the tensor of scores from which a file chooses its answer; None if it answers with scores."""
    graph = library("onnx", "onnx", "arch 'onnx'").load_model(str(path), load_external_data=False).graph
    makers, scores = {name: node for node in graph.node for name in node.output}, None
    shaping = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")  # between the choice and an output
    for output in graph.output:
        node = makers.get(output.name)
        while node is not None and node.op_type in shaping:
            node = makers.get(node.input[0])
        if node is None or node.op_type not in ("ArgMax", "TopK"):
            return None
        scores = scores or str(node.input[0])
    return scores


class _Program(nn.Module):
    """A file as a network of `outputs` classes, for images of `size`. `side` and `batch` are the size and number of
    images that it takes, None for any; with `last` channels come last."""

    contents: Tensor

    def __init__(self, path: Path, outputs: int, place: WeightSources, size: int = 0) -> None:
        super().__init__()
        self.path, self.outputs, self.normalised = path, outputs, False
        digest, length = files_digest(path)
        self.register_buffer("contents", torch.frombuffer(bytearray.fromhex(digest), dtype=torch.uint8).clone())
        library("onnxruntime", "onnx", "arch 'onnx'")
        require_proof("onnxruntime", prove_onnx, path, size, place, (digest, length))
        self._sessions: dict[str, Any] = {}
        inputs, answers = self._session("cpu").get_inputs(), self._session("cpu").get_outputs()
        self._named = [output.name for output in answers if output.type.startswith("tensor(")]
        batch, *shape = inputs[0].shape if len(inputs) == 1 and len(inputs[0].shape) == 4 else (0, 0, 0, 0)
        self.last = shape[0] != 3
        sides = {side if isinstance(side, int) else None for side in (shape[:2] if self.last else shape[1:])}
        if 3 not in (shape[0], shape[2]) or len(sides) > 1 or inputs[0].type not in TYPES or not self._named:
            takes = ", ".join(f"{entry.name} {entry.type} {entry.shape}" for entry in inputs)[:300]
            raise WeightsError(f"{shown(path)} takes {shown(takes)}. {_EXPECTED}")
        self.name, self.dtype, self.side = inputs[0].name, TYPES[inputs[0].type], sides.pop()
        self.batch = batch if isinstance(batch, int) else None

    def _session(self, device: str) -> Any:
        if device not in self._sessions:
            with foreign("ONNX file", self.path, WeightsError):
                self._sessions[device] = onnx_session(self.path, torch.get_num_threads(), device)
        return self._sessions[device]

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images [n, 3, h, w] to the first output [n, classes], probabilities as their logarithms."""
        images: Any = (x.permute(0, 2, 3, 1) if self.last else x).cpu().numpy()
        images = np.rint(images).clip(0, 255) if self.dtype == "u1" else images
        given = {self.name: np.ascontiguousarray(images, dtype=self.dtype)}
        try:
            values = run_session(self._session(x.device.type), self._named, given, DEADLINE)
        except TimeoutError as error:
            raise AnswerError(f"{shown(self.path)}: a batch of {len(x)} images was {error}.") from error
        shape = (len(x), self.outputs)
        # A file for one image may leave out its axis.
        values = [value.reshape(shape) if len(x) == 1 and value.shape == shape[1:] else value for value in values]
        rows = next((value for value in values if value.shape == shape), values[0])
        return torch.from_numpy(log_probabilities(rows) if self.normalised else np.array(rows)).to(x.device)


def files_digest(path: Path) -> tuple[str, int]:
    """Return the digest and bytes of an ONNX file and of the files of its folder that its tensors lie in. Raises
    WeightsError: missing, unreadable, or naming a file in another folder."""
    if not is_file(path):
        raise WeightsError(f"ONNX file {shown(path)} {absence(path)}. Check the path.")
    onnx = library("onnx", "onnx", "arch 'onnx'")
    with foreign("ONNX file", path, WeightsError, "Truncated, or no ONNX file."):
        named = sorted(set(_locations(onnx.load_model(str(path), load_external_data=False))))
    digests, folder, size = {"": digest_file(path)}, path.parent.resolve(), path.stat().st_size
    for name in named:
        beside = (folder / name.replace("\0", "?")).resolve()  # no system takes a NUL
        if "\0" in name or not beside.is_relative_to(folder) or not is_file(beside):
            raise WeightsError(f"{shown(path)} has tensors in '{shown(name)[:200]}', not a file of its folder.")
        digests[name], size = digest_file(beside), size + beside.stat().st_size
    return digest_data(digests), size


def _locations(message: Any) -> Iterator[str]:
    """Yield the files of external tensors in a part of an ONNX file."""
    for field, value in message.ListFields():
        for part in ([value] if hasattr(value, "ListFields") else value) if field.message_type else ():
            if field.name != "external_data":
                yield from _locations(part)
            elif part.key == "location":
                yield part.value
