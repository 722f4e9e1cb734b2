"""Killed at any moment, what is being made goes on where it was and becomes what it would have."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from acrlls import runs

# Everything is imported once; each attempt is a fork of that, killed after a random time.
ATTEMPTS = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
import acrlls, acrlls.data, acrlls.method, acrlls.training, keras
from acrlls import configure, runs

folder, kills = Path(sys.argv[1]), int(sys.argv[2])
config = configure("quick", data="phantom", phantom_images=120, image_size=32, backbone="phantom",
                   views=1, batch_size=16, phase1_epochs=3, phase2_epochs=2, grid_epochs=2,
                   grid_alpha=[0.08], grid_tau=[0.15, 0.25], unfrozen_layers=5,
                   seed=int(sys.argv[3]))
jobs = {folder / name: config.replace(variant=name) for name in ("baseline", "proposed")}

def work():
    runs.reproduce(jobs, missing=True)
    acrlls.tune(config).to_csv(folder / "tuning.csv", index=False)

rng, done, killed, longest = np.random.default_rng(int(sys.argv[3])), False, 0, 0.0
while not done:
    pid, start = os.fork(), time.monotonic()
    if not pid:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        work()
        os._exit(0)
    end = start + (rng.exponential(float(sys.argv[4])) if killed < kills else 1e9)
    while not (ended := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < end:
        time.sleep(0.002)
    if not ended[0]:
        os.kill(pid, signal.SIGKILL)
        ended = os.waitpid(pid, 0)
    assert ended[1] in (0, signal.SIGKILL), f"an attempt failed with status {ended[1]}"
    killed += ended[1] == signal.SIGKILL
    done = ended[1] == 0
print(killed)
"""


def _made(folder, kills, seed=0, seconds=1.0):
    """The folder of records that attempts have made, and how many of them were killed."""
    given = [str(folder / "records"), str(kills), str(seed), str(seconds)]
    there = {**os.environ, "ACRLLS_STORE": str(folder / "store")}
    command = [sys.executable, "-c", ATTEMPTS, *given]
    done = subprocess.run(command, env=there, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "records", int(done.stdout.split()[-1])


def _contents(folder):
    """All that attempts should agree on: what depends on neither the clock nor the machine."""
    found = {"tuning": pd.read_csv(folder / "tuning.csv").to_csv()}
    for name in ("baseline", "proposed"):
        run = runs.load_run(folder / name)
        found[name, "history"] = run.history.drop(columns="seconds").to_csv()
        found[name, "logits"] = run.predictions("test").logits.tobytes()
        found[name, "scales"] = np.asarray(run.scales).tobytes() if name == "proposed" else b""
    return found


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(int(os.environ.get("ACRLLS_KILL_ROUNDS", "4"))))
def test_killed_at_random_moments_it_becomes_what_it_would_have(seed, tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole, none = _made(tmp_path / "whole", kills=0, seed=seed)
    broken, killed = _made(tmp_path / "killed", kills=8, seed=seed)
    assert none == 0 and killed
    assert _contents(broken) == _contents(whole)
