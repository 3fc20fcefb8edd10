"""Print a plan as a Slurm job array: a shard for each job, and a last job that merges and scores them."""

import shlex
from pathlib import Path

from benchmark import templates
from benchmark.api.options import command_line, joined
from benchmark.api.running import RunRequest
from benchmark.failures import BenchError
from benchmark.store.location import parse_location
from registry.files import digest_data


def array_script(request: RunRequest, db: str, tasks: int) -> str:
    """Return a bash script that submits a plan to Slurm as an array of shards, then a job that merges and scores.

    Each shard starts its own leaderboard with the trials of `db`; a server's leaderboard is shared."""
    if request.device not in ("auto", "cpu", "cuda"):
        raise BenchError(f"each shard has its own device: --device must be auto, cpu or cuda, not '{request.device}'.")
    device = "cpu" if request.device == "cpu" else "cuda"  # never the CPU by accident
    listed = {name: joined(getattr(request, name)) for name in ("models", "suites", "stimuli")}
    asked = {**vars(request), **listed, "device": device, "db": None, "reporter": None}
    run_words = command_line(RunRequest, "bench run", **asked)
    path, folder = parse_location(db).path, ""
    if path is not None:
        db = str(path.absolute())
        folder = f"{db}-shards-{digest_data([run_words, tasks])[:8]}"
    script = Path(templates.__file__).with_name("slurm.sh" if folder else "slurm_server.sh").read_text(encoding="utf-8")
    places = {"leaderboard": shlex.quote(db), "folder": shlex.quote(folder)}
    return script.format(tasks=tasks, run=run_words, gpus="" if device == "cpu" else " --gpus=1", **places)
