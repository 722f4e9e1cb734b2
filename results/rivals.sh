#!/usr/bin/env bash
# Phase 1 with every rival loss, and Proposed, on the real images, seed by seed; first with class weights, then without.
# Then both phases, with class weights, for the three rivals that had the lowest mean NLL in Phase 1 after vector scaling
# (after temperature scaling they are the same three); results/laptop-seed-* have cross-entropy and Proposed.
# What has a record is left alone.  Needs ACRLLS_DATA and, as BACKBONE, the path of the ImageNet weights.
#
#   ACRLLS_DATA=... BACKBONE=... nice -n 19 results/rivals.sh >> rivals.log 2>&1 &
set -u
cd "$(dirname "$0")/.."
# Where the kernel shares the processor between sessions first, nice alone changes nothing.
[ -w "/proc/$$/autogroup" ] && echo 19 > "/proc/$$/autogroup"

record() { # name of the record, then what else the command takes
  acrlls reproduce --profile laptop --missing -p backbone "$BACKBONE" -o "results/$1" "${@:2}"
}

# Ten seeds: with eight comparisons, an exact test of sign flips needs nine for a Holm-corrected p below 0.05.
losses="cross_entropy label_smoothing focal flsd53 entropy_penalty mbls correctness_ranking mixup"
for weights in true false; do
  change=$([ $weights = true ] || echo -unweighted)
  for s in 0 1 2 3 4 5 6 7 8 9; do
    record "rivals-{loss}$change-seed-{seed}" --seeds $s --variants baseline --losses $losses -p phase2_epochs 0 -p class_weights $weights
    record "rivals-{loss}$change-seed-{seed}" --seeds $s --variants proposed --losses cross_entropy -p phase2_epochs 0 -p class_weights $weights
  done
done
for s in 0 1 2; do
  record "rivals-{loss}-both-seed-{seed}" --seeds $s --variants baseline --losses mbls label_smoothing entropy_penalty
done
