#!/usr/bin/env bash
# Phase 1 with every rival loss on the real images, over seeds; each record is left out when it is there.
# Needs ACRLLS_DATA and, as BACKBONE, the path of the ImageNet weights.  A minute a run once the features are stored.
#
#   ACRLLS_DATA=... BACKBONE=... nice -n 19 results/rivals.sh >> rivals.log 2>&1 &
set -u
cd "$(dirname "$0")/.."
[ -w "/proc/$$/autogroup" ] && echo 19 > "/proc/$$/autogroup"

one() { # group variant loss seed [setting ...]
  local record=results/rivals-$1-seed-$4
  if [ ! -f "$record/$2/manifest.json" ]; then
    echo "$(date '+%F %T') $record/$2"
    acrlls reproduce --profile laptop --variants "$2" -p seed "$4" -p loss "$3" -p phase2_epochs 0 \
      -p backbone "$BACKBONE" "${@:5}" -o "$record"
  fi
}

losses="cross_entropy label_smoothing focal flsd53 entropy_penalty mbls"
for s in 0 1 2 3 4 5; do
  for l in $losses; do one "$l" baseline "$l" $s; done
  one cross_entropy proposed cross_entropy $s
done
for s in 0 1 2 3 4 5; do
  for l in $losses; do one "$l-unweighted" baseline "$l" $s -p class_weights false; done
  one cross_entropy-unweighted proposed cross_entropy $s -p class_weights false
done
