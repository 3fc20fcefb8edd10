#!/bin/bash
# {tasks} shards of one plan, then the scores of their trials. Submit both with
#     bash THIS_FILE --partition=gpu --time=4:00:00      (options of sbatch, as your cluster wants them)
# Submit again to resume shards that were killed or ran out of time.
#SBATCH --job-name=bench
set -euo pipefail
leaderboard={leaderboard}
if [ -n "${{SLURM_ARRAY_TASK_ID:-}}" ]; then
    exec {run} --shard "$SLURM_ARRAY_TASK_ID/{tasks}" --quiet --db "$leaderboard"
elif [ "${{1:-}}" = merge ]; then
    exec bench db merge --into "$leaderboard"
else
    array=$(sbatch --parsable --array=1-{tasks} --requeue{gpus} "$@" "$0")
    sbatch --dependency="afterany:$array" "$@" "$0" merge
fi
