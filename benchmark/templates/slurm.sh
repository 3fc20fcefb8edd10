#!/bin/bash
# {tasks} shards of one plan, then the merge of their leaderboards. Submit both with
#     bash THIS_FILE --partition=gpu --time=4:00:00      (options of sbatch, as your cluster wants them)
# Submit again to resume shards that were killed or ran out of time.
#SBATCH --job-name=bench
set -euo pipefail
leaderboard={leaderboard}
folder={folder}
mkdir -p "$folder"
if [ -n "${{SLURM_ARRAY_TASK_ID:-}}" ]; then
    own="$folder/shard-$SLURM_ARRAY_TASK_ID.db"
    if [ -e "$leaderboard" ] && [ ! -e "$own" ]; then  # stored trials are not computed again
        bench db merge "$leaderboard" --into "$own" || [ $? = 3 ]
    fi
    exec {run} --shard "$SLURM_ARRAY_TASK_ID/{tasks}" --quiet --db "$own"
elif [ "${{1:-}}" = merge ]; then
    bench db merge "$folder"/shard-*.db --into "$leaderboard"
    rm -r "$folder"
else
    array=$(sbatch --parsable --array=1-{tasks} --requeue{gpus} "$@" "$0")
    sbatch --dependency="afterany:$array" "$@" "$0" merge
fi
