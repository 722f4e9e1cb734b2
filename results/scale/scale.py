"""What ten times the images cost in time, memory and disk, and what several workers gain.

    python results/scale/scale.py [IMAGES]      some minutes

``images.csv``: IMAGES phantoms as files (default 2,000; recorded with as many as the paper has),
then ten links to each.  ``workers.csv``: four runs, shared by several processes of this machine;
those of Dask know a scheduler alone.
``features.csv``: what one augmented view of an image takes on the disk at the paper's size.
"""

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from acrlls import configure, load_data, method, runs
from acrlls.data import write_folder

HERE = Path(__file__).parent
SMALL = {"views": 2, "phase1_epochs": 2, "phase2_epochs": 1}


def one_run(folder: str) -> None:
    """Train once on a folder; print what it took."""
    start = time.perf_counter()
    config = configure("quick", data=folder, **SMALL)
    images = len(load_data(config))
    read = time.perf_counter()
    done = runs.run(config)
    seconds = time.perf_counter() - read
    stored = sum(f.stat().st_size for f in Path(os.environ["ACRLLS_STORE"]).rglob("*.*"))
    took = {"images": images, "seconds checking files": read - start, "seconds training": seconds}
    took["seconds in epochs"] = done.manifest["seconds_in_epochs"]
    took["peak memory in MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({**took, "store in MB": stored / 1e6}))


def some_runs(kind: str, count: str) -> None:
    """Train four runs by some workers; print what it took."""
    config = configure("quick", data="phantom", phantom_images=1000, **SMALL)
    jobs = [config.replace(variant=v, seed=s) for v in ("baseline", "proposed") for s in (0, 1)]
    if kind == "Dask":
        from distributed import LocalCluster

        cluster = LocalCluster(int(count), threads_per_worker=1, dashboard_address=None)
        how = runs.workers(scheduler=cluster.scheduler_address)
    else:
        how = runs.workers(int(count))
    start = time.perf_counter()
    with how:
        runs.run_all(jobs)
    row = {"workers": f"{count} of {kind}", "runs": len(jobs)}
    print(json.dumps({**row, "seconds": time.perf_counter() - start}))


def features() -> pd.DataFrame:
    """Kilobytes of one view of one image, a row a layer whose outputs are stored: the last frozen
    one of Phase 2, and of Phase 1."""
    config, rows = configure("paper", data="phantom", backbone="random"), []
    model = method.build_model(config, 4)
    for phase, free in ((2, config.unfrozen_layers), (1, 0)):
        method.unfreeze_top(model, free)
        layer = method.frozen_cut(model)
        values = math.prod(model.get_layer(layer).output.shape[1:])
        rows.append({"phase": phase, "layer": layer, "kB": values * 4 / 1000})
    return pd.DataFrame(rows)


def measured(*given: str) -> dict:
    """What a process of its own with an empty store prints last."""
    with tempfile.TemporaryDirectory() as store:
        there = {**os.environ, "ACRLLS_STORE": store}
        command = [sys.executable, __file__, *given]
        done = subprocess.run(command, env=there, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def images_and_links(images: int) -> pd.DataFrame:
    """What one run takes on the files, and on ten links to each."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        phantoms = load_data(configure("quick", data="phantom", phantom_images=images))
        names = {name: name for name in phantoms.class_names}
        once = write_folder(phantoms, Path(folder, "once"), images, names)
        for file in once.rglob("*.png"):
            for k in range(10):
                link = Path(folder, "tenfold", file.parent.name, f"{file.stem}_{k}.png")
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(file)
        for name in ("once", "tenfold"):
            rows.append(measured("images", str(Path(folder, name))))
    return pd.DataFrame(rows)


def main(images: int = 2000) -> None:
    images_and_links(images).round(1).to_csv(HERE / "images.csv", index=False)
    features().to_csv(HERE / "features.csv", index=False)
    cases = [("this machine", 1), ("this machine", 2), ("Dask", 1), ("Dask", 2), ("Dask", 4)]
    rows = [measured("workers", kind, str(count)) for kind, count in cases]
    pd.DataFrame(rows).round(1).to_csv(HERE / "workers.csv", index=False)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ("images", "workers"):
        {"images": one_run, "workers": some_runs}[sys.argv[1]](*sys.argv[2:])
    else:
        main(*map(int, sys.argv[1:]))
