"""Foreign programs (ONNX, exported programs) prove themselves in a process of their own before this one opens them: one
that loops without end, or asks for gigabytes, ends there and is refused.

`python -m registry.containment MODULE PATH SIDE SECONDS BYTES` is that process: it runs `prove` of the module."""

import re
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from registry.errors import BenchError, WeightsError
from registry.files import WeightSources, digest_data, write_whole

#: Seconds of a processor and bytes of memory that a proof may take, besides what the program's files need.
SECONDS, MEMORY = 60, 4 * 2**30
#: Seconds on the clock for each of these: a busy machine is nobody's fault.
_PATIENCE = 10


def require_proof(
    runtime: str, module: str, path: Path, side: int, place: WeightSources, files: tuple[str, int]
) -> None:
    """Open the program and show it images of `side` pixels (0: of its own size) in another process, once for a file on
    this machine. runtime: the package that runs it; module: where `prove(path, side)` is; files: their digest and
    bytes. Raises WeightsError."""
    from registry.documents import foreign  # the other process does without pydantic

    release = f"{runtime} {import_module(runtime).__version__}"
    digest, size = files
    proof = place.weights_folder.with_name("proofs") / digest_data([release, digest, side])
    if proof.is_file():
        return
    seconds, memory = SECONDS + size // 20_000_000, MEMORY + 4 * size
    pixels = f" on images of {side} px" if side else ""
    expected = (
        f"It was tried in a process of its own by {release}{pixels}, with {seconds} s of a "
        f"processor and {memory / 2**30:.1f} GiB of memory. Export it again with this version, for that size and any "
        "batch."
    )
    command = [sys.executable, "-P", "-m", "registry.containment", module, *map(str, (path.absolute(), side))]
    command += map(str, (seconds, memory))
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


_REFUSED = 3


def _main(module: str, path: str, side: str, seconds: str, memory: str) -> None:
    prove = import_module(module).prove
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
        from registry.errors import reason

        full = isinstance(error, MemoryError) or re.search(r"allocate memory|bad_alloc", str(error))
        print("it asks for more memory" if full else reason(error))
        sys.exit(1)


if __name__ == "__main__":
    _main(*sys.argv[1:])
