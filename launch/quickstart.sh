#!/usr/bin/env bash
# From nothing to a table and pictures: simulate a few interviews as OpenPose JSON, pack them, train a small U-S-VAE,
# probe it, draw. Needs Python 3.11+ and nothing else.
#
#     bash launch/quickstart.sh [FOLDER]
#
# Everything is written into FOLDER (by default quickstart/ in the checkout). Run again, it goes on where it stopped.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/environment.sh"
folder=${1:-$root/quickstart}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
set_up

began=$SECONDS
say() { printf '\n== %s\n' "$*"; }

say "1/5 simulating interviews as OpenPose JSON folders"
if [ ! -d "$folder/interviews" ]; then
    rm -rf "$folder/interviews.partial"
    "$python" "$root/data_prep/simulate.py" --output "$folder/interviews.partial" --seed 2026
    mv "$folder/interviews.partial" "$folder/interviews"
else
    echo "$folder/interviews is there already"
fi

say "2/5 packing them into a store"
if [ ! -f "$folder/interviews.h5" ]; then
    "$python" "$root/data_prep/pack_openpose.py" --input "$folder/interviews/openpose" --output "$folder/interviews.h5" \
        --layout imigue22 --videos "$folder/interviews/videos.csv" --clips "$folder/interviews/clips.csv"
else
    echo "$folder/interviews.h5 is there already"
fi

say "3/5 looking into the store"
"$python" "$root/data_prep/inspect_store.py" --store "$folder/interviews.h5" --pictures "$folder/pictures"

say "4/5 training a small U-S-VAE without labels"
"$python" "$root/launch/train.py" --store "$folder/interviews.h5" --split cross_subject \
    --workdir "$folder/run" --recipe quickstart

say "5/5 probing it: 1 nearest neighbour, other people's clips"
"$python" "$root/launch/probe.py" --workdir "$folder/run" --store "$folder/interviews.h5" --split cross_subject \
    --output "$folder/probe.json" --pictures "$folder/pictures"

say "done in $((SECONDS - began)) s; these are simulated interviews: the figures say that everything works, no more"
echo "table     $folder/probe.json"
for picture in "$folder"/pictures/*; do echo "picture   $picture"; done
