"""Print a plan as a Slurm job array: a shard for each job, and a last job that merges and scores them."""

import shlex

from benchmark.api.options import command_line, joined
from benchmark.api.running import RunRequest
from benchmark.failures import BenchError
from benchmark.store.location import parse_location
from registry.files import digest_data

_SCRIPT = """\
#!/bin/bash
# {tasks} shards of one plan, then the merge of their leaderboards. Submit both with
#     bash THIS_FILE --partition=gpu --time=4:00:00      (options of sbatch, as your cluster wants them)
# Submit again to resume shards that were killed or ran out of time.
#SBATCH --job-name=bench
set -euo pipefail
{places}
if [ -n "${{SLURM_ARRAY_TASK_ID:-}}" ]; then
{shard}
elif [ "${{1:-}}" = merge ]; then
{merge}
else
    array=$(sbatch --parsable --array=1-{tasks} --requeue{gpus} "$@" "$0")
    sbatch --dependency="afterany:$array" "$@" "$0" merge
fi
"""


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
    return _SCRIPT.format(tasks=tasks, places=places, shard=shard, merge=merge, gpus=gpus)
