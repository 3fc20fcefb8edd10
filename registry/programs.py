"""Sessions of onnxruntime, and the proof of a foreign program (ONNX, exported) in a process of its own.

Nothing here imports torch, so the process of a proof starts at once."""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np

from registry.files import WeightSources, digest_data, write_whole
from registry.user_errors import BenchError, WeightsError, foreign, reason

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


def prove_onnx(path: Path, side: int) -> None:
    """Run a file on two images, unless its inputs are not images."""
    session = onnx_session(path, threads=2)
    inputs = session.get_inputs()
    if len(inputs) == 1 and len(inputs[0].shape) == 4 and inputs[0].type in TYPES:
        batch, *rest = inputs[0].shape
        sizes = [length if isinstance(length, int) else side or 224 for length in rest]
        images = np.zeros((batch if isinstance(batch, int) else 2, *sizes), TYPES[inputs[0].type])
        session.run(None, {inputs[0].name: images})


# Foreign programs (ONNX, exported programs) prove themselves in a process of their own before this one opens them: one
# that loops without end, or asks for gigabytes, ends there and is refused.

#: Seconds of a processor and bytes of memory that a proof may take, besides what the program's files need.
SECONDS, MEMORY = 60, 4 * 2**30
#: Seconds on the clock for each of these: a busy machine is nobody's fault.
_PATIENCE = 10
_REFUSED = 3  # the status of a process that has found a user's mistake


def require_proof(
    runtime: str, prove: Callable[..., None], path: Path, side: int, place: WeightSources, files: tuple[str, int]
) -> None:
    """Let `prove` open a program and show it images of `side` pixels (0: of its own size) in another process, once for
    a file on this machine. The package `runtime` runs it; `files` are its digest and bytes. Raises WeightsError."""
    release = f"{runtime} {import_module(runtime).__version__}"
    digest, size = files
    proof = place.weights_folder.with_name("proofs") / digest_data([release, digest, side])
    if proof.is_file():
        return
    seconds, memory = SECONDS + size // 20_000_000, MEMORY + 4 * size
    tried = f"It was tried by {release} on images of {side or 'its own'} px"
    expected = f"{tried}, with {seconds} s and {memory / 2**30:.1f} GiB. Export it again with this version."
    command = [sys.executable, "-P", "-m", "registry.programs", prove.__module__, prove.__name__]
    command += map(str, (path.absolute(), side, seconds, memory))
    with foreign("program", path, WeightsError, expected):
        try:
            done = subprocess.run(  # noqa: S603 - this very program
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds * _PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            raise TimeoutError("it does not end") from None
        said = done.stdout.decode(errors="replace").strip()
        if done.returncode == _REFUSED:
            raise WeightsError(said)
        if done.returncode == -9:  # SIGKILL, of the system, once the time is used
            raise TimeoutError("it does not end, or fills the memory")
        if done.returncode:
            raise RuntimeError(said or f"its process ended with status {done.returncode}")
    write_whole(proof, "")


def _main(module: str, function: str, path: str, side: str, seconds: str, memory: str) -> None:
    prove = getattr(import_module(module), function)
    with suppress(ImportError, OSError):  # where the system has no such limits, time alone is limited
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])  # as much as the libraries have taken
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + int(memory),) * 2)
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + int(seconds) + 1,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        prove(Path(path), int(side))
    except BenchError as error:
        print(error)
        sys.exit(_REFUSED)
    except BaseException as error:  # noqa: BLE001 - whatever a foreign program does
        full = isinstance(error, MemoryError) or re.search(r"allocate memory|bad_alloc", str(error))
        print("it asks for more memory" if full else reason(error))
        sys.exit(1)


if __name__ == "__main__":
    _main(*sys.argv[1:])
