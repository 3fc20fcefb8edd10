"""Print a plan as a Slurm job array: a shard for each job, and a last job that merges and scores them."""

import shlex
from pathlib import Path

from benchmark import templates
from benchmark.api.options import command_line, joined
from benchmark.api.running import RunRequest
from benchmark.failures import BenchError
from benchmark.store.location import parse_location
from registry.files import digest_data

_SCRIPT = Path(templates.__file__).parent / "slurm.sh"


def array_script(request: RunRequest, db: str, tasks: int) -> str:
    """Return a bash script that submits a plan to Slurm as an array of shards, then a job that merges and scores.

    Each shard starts its own leaderboard with the trials of `db`; a server's leaderboard is shared."""
    if request.device not in ("auto", "cpu", "cuda"):
        raise BenchError(f"each shard has its own device: --device must be auto, cpu or cuda, not '{request.device}'.")
    device = "cpu" if request.device == "cpu" else "cuda"  # never the CPU by accident
    listed = {name: joined(getattr(request, name)) for name in ("models", "suites", "stimuli")}
    asked = {**vars(request), **listed, "device": device, "db": None, "reporter": None}
    run_words = command_line(RunRequest, "bench run", **asked)
    part = f'--shard "$SLURM_ARRAY_TASK_ID/{tasks}" --quiet'
    path = parse_location(db).path
    if path is None:
        places = f"leaderboard={shlex.quote(db)}"
        shard = f'    exec {run_words} {part} --db "$leaderboard"'
        merge = '    exec bench db merge --into "$leaderboard"'
    else:
        whole = path.absolute()
        folder = f"{whole}-shards-{digest_data([run_words, tasks])[:8]}"
        places = f'leaderboard={shlex.quote(str(whole))}\nfolder={shlex.quote(folder)}\nmkdir -p "$folder"'
        shard = (
            '    own="$folder/shard-$SLURM_ARRAY_TASK_ID.db"\n'
            '    if [ -e "$leaderboard" ] && [ ! -e "$own" ]; then  # stored trials are not computed again\n'
            '        bench db merge "$leaderboard" --into "$own" || [ $? = 3 ]\n'
            "    fi\n"
            f'    exec {run_words} {part} --db "$own"'
        )
        merge = '    bench db merge "$folder"/shard-*.db --into "$leaderboard"\n    rm -r "$folder"'
    gpus = "" if device == "cpu" else " --gpus=1"
    script = _SCRIPT.read_text(encoding="utf-8")
    return script.format(tasks=tasks, places=places, shard=shard, merge=merge, gpus=gpus)
