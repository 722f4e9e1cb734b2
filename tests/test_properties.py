"""What must hold whatever comes in: settings, images, scores and files of the store."""

import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from acrlls import calibration
from acrlls.config import Config, UserError, configure
from acrlls.data import load_data
from acrlls.store import digest, kept, write_text

settings.register_profile(
    "acrlls",
    derandomize=True,  # the same cases in every run
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("acrlls")

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANY = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
NAMES = st.sampled_from([*Config.__dataclass_fields__, "alhpa", ""])


@given(st.dictionaries(NAMES, ANY, max_size=4))
@example({"profile": [1]})
def test_any_settings_give_a_config_or_a_message(given):
    try:
        config = configure(**{"profile": "quick", **given})
    except UserError as error:
        assert str(error)
    else:
        assert configure(**config.as_dict()) == config  # and one that is itself valid


@given(st.text(max_size=60) | st.dictionaries(st.text(max_size=5), ANY, max_size=3).map(json.dumps))
def test_any_text_is_a_profile_or_a_message(tmp_path, text):
    file = tmp_path / "p.yml"
    file.write_text(text, "utf-8", newline="")
    try:
        configure(str(file))
    except UserError as error:
        assert str(file) in str(error) or "parameter" in str(error) or " is " in str(error)


def image(width, height, mode, kind):
    handle = io.BytesIO()
    Image.new(mode, (width, height), 1).save(handle, kind)
    return handle.getvalue()


SIDE, MODES = st.integers(1, 9), st.sampled_from(["L", "RGB", "1", "I;16"])


@given(
    st.builds(image, SIDE, SIDE, MODES, st.just("PNG")), st.integers(0, 200), st.binary(max_size=4)
)
def test_a_damaged_image_is_read_or_named(tmp_path_factory, content, place, put):
    folder = tmp_path_factory.mktemp("set")
    for name in ("A", "B"):
        (folder / name).mkdir()
        (folder / name / f"{name}.png").write_bytes(content)
    (folder / "B" / "odd.png").write_bytes(content[:place] + put + content[place + len(put) :])
    try:
        found = load_data(configure("quick", data=str(folder)))
    except UserError as error:
        assert "odd.png" in str(error)
    else:
        assert len(found) == 3 and all(found.image(i).dtype == np.uint8 for i in range(3))


@st.composite
def cases(draw):
    n, classes = draw(st.integers(5, 30)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    p = rng.dirichlet(np.full(classes, draw(st.sampled_from([0.05, 1.0, 20.0]))), n)
    y = np.append(np.arange(classes), rng.integers(classes, size=n - classes))  # each class occurs
    return p / p.sum(axis=1, keepdims=True), y, rng.permutation(n)


@given(cases(), st.integers(1, 20), st.sampled_from(["uniform", "quantile"]))
def test_an_ece_lies_in_0_to_1_and_knows_neither_order_nor_copies(case, bins, strategy):
    p, y, order = case
    for of in ("top_label", "mean"):
        found = calibration.ece(p, y, bins, strategy, of=of)
        assert 0 <= found <= 1
        assert calibration.ece(p[order], y[order], bins, strategy, of=of) == pytest.approx(found)
    twice = calibration.ece(np.tile(p, (2, 1)), np.tile(y, 2), bins, of="mean")
    assert twice == pytest.approx(calibration.ece(p, y, bins, of="mean"))


@given(cases())
def test_recalibration_gives_probabilities_and_keeps_a_temperatures_order(case):
    p, y, _ = case
    z = np.log(p.clip(1e-12))
    for name in ("temperature", "vector", "isotonic", "histogram"):
        q = calibration.METHODS[name].make(np.ones(p.shape[1])).fit(z, y).predict_proba(z)
        np.testing.assert_allclose(q.sum(axis=1), 1)
        assert q.min() >= 0
        if name == "temperature":
            assert (q.argmax(axis=1) == z.argmax(axis=1)).all()


@given(st.binary(max_size=80))
def test_a_file_of_the_store_is_what_was_written_or_made_again(tmp_path, damage):
    file = tmp_path / "note.json"

    def make():
        write_text(file, json.dumps({"value": 3, "seal": digest(3)}))
        return 3

    def read():
        note = json.loads(file.read_text("utf-8"))
        if note["seal"] != digest(note["value"]):
            raise ValueError("another seal")
        return note["value"]

    file.write_bytes(damage)
    assert kept(file, read, make) == 3
    assert kept(file, read, lambda: pytest.fail("made twice")) == 3
