"""Sessions of onnxruntime, without its log and ended in time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np

#: Types of an input that images can be.
TYPES = {"tensor(float)": "f4", "tensor(float16)": "f2", "tensor(double)": "f8", "tensor(uint8)": "u1"}
#: Only what ends the process; the rest is in the error, without colours.
_FATAL = 4


def onnx_session(path: Path, threads: int, device: str = "cpu", *, basic: bool = False) -> Any:
    """Return the file as a session. basic: without the optimisations that compute in 8-bit integers."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(_FATAL)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = _FATAL, threads
    if basic:
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    wanted = ("CUDAExecutionProvider",) * (device == "cuda") + ("CPUExecutionProvider",)
    there = [name for name in wanted if name in onnxruntime.get_available_providers()]
    return onnxruntime.InferenceSession(str(path), options, providers=there)


def run_session(session: Any, named: Sequence[str] | None, given: Mapping[str, Any], seconds: float) -> list[Any]:
    """Return the outputs `named`, or all. Raises TimeoutError after so many seconds, and the library's errors."""
    from onnxruntime import RunOptions

    options = RunOptions()
    options.log_severity_level = _FATAL
    timer = Timer(seconds, setattr, (options, "terminate", True))  # is looked at before every operation
    timer.start()
    try:
        outputs: list[Any] = session.run(named, given, options)
        return outputs
    except Exception as error:
        if options.terminate:
            raise TimeoutError(f"not done after {seconds:g} s") from error
        raise
    finally:
        timer.cancel()


def prove(path: Path, side: int) -> None:
    """Run a file on two images, unless its inputs are not images."""
    session = onnx_session(path, threads=2)
    inputs = session.get_inputs()
    if len(inputs) == 1 and len(inputs[0].shape) == 4 and inputs[0].type in TYPES:
        batch, *rest = inputs[0].shape
        sizes = [length if isinstance(length, int) else side or 224 for length in rest]
        images = np.zeros((batch if isinstance(batch, int) else 2, *sizes), TYPES[inputs[0].type])
        session.run(None, {inputs[0].name: images})
