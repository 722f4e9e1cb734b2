"""The report on a reader's own images."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import log_loss

import acrlls
from acrlls import runs
from acrlls.tables import own, recorded


@pytest.fixture(scope="module")
def setting():
    found = recorded.setting().runs
    return recorded.Setting("x", {v: dict([next(iter(found[v].items()))]) for v in own.COMPARED})


def test_scores_are_those_of_the_run_as_trained_and_after_each_step(setting):
    table = own.scores(setting, 15, 50)
    test = setting.of("proposed")[0].predictions("test")
    row = table.loc[("Proposed", "as trained")]
    assert pytest.approx(log_loss(test.labels, test.probabilities)) == row.NLL
    assert len(table) == 8 and (table.low <= table.high).all()
    assert table.NLL["Baseline", "as trained"] > table.loc[("Baseline", "after vector scaling")].NLL


@pytest.mark.parametrize(
    ("ece", "said"),
    [
        (
            0.02,
            "**On the demonstration folder of phantoms (92 test images) Proposed as trained shows",
        ),
        (0.005, "**On your folder (92 test images) Proposed as trained is not shown to be"),
    ],
)
def test_the_finding_follows_the_floor(ece, said):
    rows = {("Proposed", "as trained"): [0.5, ece], ("Baseline", "after temperature"): [0.4, 0.3]}
    table = pd.DataFrame(rows, ["NLL", "ECE"]).T.assign(low=0.0, high=0.17, **{"floor, 95 %": 0.01})
    text = own.finding(table, 92, ece > 0.01).data
    assert said in text and "true error is 0.0000 to 0.170. " in text
    assert "Baseline after temperature has the lowest NLL, 0.400, with one" in text


def test_phantoms_written_as_files_are_read_back_as_they_were(tmp_path, monkeypatch):
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(own, "EXAMPLE", 40)
    config = own.with_files(acrlls.configure("quick", data="phantom"))
    files, drawn = (
        acrlls.load_data(c)
        for c in (config, acrlls.configure("quick", data="phantom", phantom_images=40))
    )
    assert config.bins == own.FEW
    assert files.class_names == ("Healthy", "Ill") and len(files) == 40
    places = dict(zip(files.names, range(40), strict=True))
    for i, name in enumerate(drawn.names):
        k = places[name]
        np.testing.assert_array_equal(files.image(k), drawn.image(i))
        assert (files.labels[k] == 0) == (drawn.class_names[drawn.labels[i]] == "Normal")
    assert files.unread().startswith("Every file") and "no files" in drawn.unread()


def test_other_phantoms_have_a_folder_of_their_own_that_is_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(own, "EXAMPLE", 40)
    profile = tmp_path / "p.yml"
    folders = set()
    for text in ("phantom_seed: 0", "phantom_seed: 1", "image_size: 48"):
        profile.write_text(f"profile: quick\ndata: phantom\n{text}\n")
        config = own.with_files(acrlls.configure(str(profile)))
        assert len(acrlls.load_data(config)) == 40
        folders.add(config.data)
    assert len(folders) == 3
    listed = [entry.path for entry in runs.entries() if entry.path.is_dir()]
    assert {str(path / "demonstration") for path in listed} == folders


def test_a_config_with_files_of_its_own_keeps_them(tmp_path):
    for title in ("a", "b"):
        (tmp_path / title).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / title / f"{title}.png")
    config = acrlls.configure("quick", data=str(tmp_path))
    assert own.with_files(config) is config
