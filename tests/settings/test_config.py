"""Settings are checked; the message names the parameter, the value and what is allowed."""

import ast
import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

from acrlls.book import all_sections
from acrlls.config import Config, UserError, configure, configure_from, profiles
from acrlls.store import store, write_text, writing


def test_the_defaults_are_the_published_settings():
    c = configure("paper")
    assert (c.alpha, c.tau, c.image_size, c.unfrozen_layers) == (0.08, 0.25, 224, 50)
    assert (c.phase1_epochs, c.phase1_learning_rate) == (30, 1e-3)
    assert (c.phase2_epochs, c.phase2_learning_rate) == (50, 1e-4)
    assert (c.grid_alpha, c.grid_tau) == ((0.08, 0.1, 0.15, 0.2), (0.15, 0.2, 0.25, 0.3))
    assert (c.grid_epochs, c.grid_patience) == (10, 3)
    assert (c.rotation, c.flip, c.shift, c.shear, c.zoom) == (15, 0.5, 0.1, 0.1, 0.15)


def test_every_profile_loads():
    assert profiles() == ["laptop", "paper", "quick"]
    for name in profiles():
        assert configure(name).profile == name


def test_none_means_as_the_profile_says():
    assert configure("quick", alpha=None) == configure("quick")
    assert configure("quick", alpha=0.5).alpha == 0.5


def test_the_environment_turns_the_default_profile_alone(monkeypatch):
    monkeypatch.setenv("ACRLLS_PROFILE", "laptop")
    monkeypatch.setenv("ACRLLS_DATA", "/somewhere")
    assert configure("quick").profile == configure().profile == "laptop"
    assert configure("paper").profile == "paper"
    assert configure("quick").data == "/somewhere"
    assert configure("quick", data="phantom").data == "phantom"


@pytest.mark.parametrize(
    "bad, says",
    [
        ({"alpha": -0.1}, "alpha is -0.1; it must be a number from 0"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"alpha": "big"}, "alpha is 'big'"),
        ({"tau": 1.5}, "tau is 1.5; it must be a number from 0 to 1"),
        ({"phase1_epochs": 0}, "phase1_epochs is 0; it must be a whole number"),
        ({"phase1_epochs": 2.5}, "phase1_epochs is 2.5"),
        ({"phase1_learning_rate": 0}, "phase1_learning_rate is 0; it must be a number above 0"),
        ({"seed": True}, "seed is True"),
        ({"augment": "maybe"}, "augment is 'maybe'; choose one of: True, False"),
        ({"augment": 1}, "augment is '1'; choose one of: True, False"),
        ({"variant": np.array(["baseline"] * 2)}, "variant is array"),
        ({"variant": "propsed"}, "variant is 'propsed'; choose one of: baseline"),
        ({"grid_tau": []}, "grid_tau is []; give at least one value"),
        (
            {"grid_tau": [0.1, "1e-1"]},
            "grid_tau is [0.1, 0.1]; give at least one value, and none twice",
        ),
        ({"batchnorm_statistics": ["reestimated"] * 2}, "give at least one value, and none twice"),
        ({"grid_tau": [0.1, 7]}, "grid_tau is 7"),
        (
            {"loss_strength": 0.2},
            "loss_strength is 0.2; cross_entropy takes none, but label_smoothing, focal, ",
        ),
        ({"loss": "flsd53", "loss_strength": 3}, "loss_strength is 3; flsd53 takes none"),
        ({"loss": "label_smoothing", "loss_strength": 5}, "label_smoothing it is from 0 to 1"),
        ({"alhpa": 1}, "there is no parameter 'alhpa'; did you mean 'alpha'?"),
        ({"train_fraction": 0.9, "validation_fraction": 0.1}, "leave no test images"),
        ({"data": 7}, "data is 7; it must be a name or a path, as text"),
        ({"backbone": " "}, "backbone is ' '; it must be a name or a path"),
        ({"data": "a\0b"}, "data 'a\\x00b' is no path: embedded null byte"),
        ({"data": "Phantom"}, "Phantom' does not exist; did you mean 'phantom'?"),
        ({"data": "phantom "}, "phantom ' does not exist; did you mean 'phantom'?"),
        ({"backbone": "ImageNet"}, "ImageNet' does not exist; did you mean 'imagenet'?"),
        ({"backbone": "~nobody-here/weights.h5"}, "backbone '~nobody-here/weights.h5' is no path"),
    ],
)
def test_an_impossible_value_is_refused_by_name(bad, says):
    with pytest.raises(UserError) as caught:
        configure("quick", **bad)
    assert says in str(caught.value)


def test_an_unknown_profile_lists_the_known_ones():
    said = "profile 'fast' does not exist; choose one of: laptop, paper, quick"
    with pytest.raises(UserError, match=said):
        configure("fast")


def test_a_profile_of_ones_own_is_a_yaml_file(tmp_path, monkeypatch):
    own = tmp_path / "own.yml"
    own.write_text("profile: laptop\nphase2_epochs: 3\n")
    assert configure(str(own)) == configure("laptop", phase2_epochs=3).replace(profile=str(own))
    monkeypatch.setenv("ACRLLS_PROFILE", str(own))
    assert configure("quick").phase2_epochs == 3
    own.write_text("phase3_epochs: 3\n")
    with pytest.raises(UserError, match="did you mean 'phase"):
        configure(str(own))
    with pytest.raises(UserError, match="none.yml cannot be read"):
        configure(str(tmp_path / "none.yml"))
    own.write_text("a: b: c")
    with pytest.raises(UserError, match="own.yml is not YAML"):
        configure(str(own))


def test_what_is_only_shown_does_not_reach_training():
    base = configure("quick")
    shown = base.replace(bins=7, resamples=20, grid_epochs=2, gradcam_layer="out_relu")
    assert shown.training_settings() == base.training_settings()
    assert base.replace(alpha=0.2).training_settings() != base.training_settings()


def test_a_config_survives_its_dictionary():
    base = configure("laptop", alpha=0.3, grid_tau=[0.1])
    assert Config(**base.as_dict()) == base
    assert {f.name for f in dataclasses.fields(Config)} == set(base.as_dict())


def test_a_notebooks_parameters_are_taken_by_their_names():
    given = {"profile": "quick", "bins": 7, "seed": None, "several_bins": [1], "np": np}
    assert configure_from(given) == configure("quick", bins=7)
    with pytest.raises(UserError, match="bins"):
        configure_from({"bins": 0})


def test_a_path_means_the_same_from_every_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "short.yml").write_text("profile: base.yml\nbackbone: w.h5\n")
    (tmp_path / "own" / "base.yml").write_text("profile: quick\nphase2_epochs: 3\n")
    monkeypatch.setenv("ACRLLS_PROFILE", "own/short.yml")
    monkeypatch.setenv("ACRLLS_DATA", "~/pictures")
    monkeypatch.setenv("ACRLLS_STORE", "kept")
    assert store() == tmp_path / "kept"
    here = configure()
    assert here.data == str(tmp_path / "pictures") and here.phase2_epochs == 3
    assert here.backbone == str(tmp_path / "own" / "w.h5")  # beside the profile that names it
    monkeypatch.chdir(tmp_path / "own")
    assert configure() == here and store() == tmp_path / "kept"
    assert here.replace(backbone="~/w.h5").backbone == str(tmp_path / "w.h5")
    monkeypatch.setenv("ACRLLS_STORE", "$HOME/kept")  # as a file of settings has it
    assert store() == tmp_path / "kept"
    assert here.replace(data="${HOME}/$").data == str(tmp_path / "$")
    assert configure("paper", data="phantom", backbone="random").data == "phantom"


def test_a_file_is_written_as_a_whole_or_not_at_all(tmp_path):
    write_text(tmp_path / "a", "whole")
    with pytest.raises(KeyboardInterrupt), writing(tmp_path / "a") as handle:
        handle.write(b"half")
        raise KeyboardInterrupt
    assert [f.read_text() for f in tmp_path.iterdir()] == ["whole"]


def test_the_doors_load_no_keras_before_it_is_needed_and_a_kept_run_is_found_without_it():
    code = """if True:
        import sys, acrlls
        from acrlls import backend, data, method, runs, store, training
        import acrlls.runs.cache, acrlls.training.stored

        config = acrlls.configure("quick")
        configs = config, config.replace(backbone="random")
        found = [method.weights_digest(c) for c in configs]
        print("keras" in sys.modules)
        backend.import_keras()
        print(found == [method.weights_digest(c) for c in configs])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\nTrue\n", "")


@pytest.mark.parametrize(
    "content, said",
    [
        ("profile: 5", "profile '5' does not exist"),
        ("zoom: [&a [1, 2], *a]", "own.yml is not YAML: an alias (*name) is not read"),
        ("profile: [quick]", "profile is ['quick']; it must be a name"),
        ("profile: own.yml", "own.yml starts from itself"),
        ("profile: other.yml", "/other.yml: profile "),
        ("profile: other.yml", "own.yml starts from itself"),
        ("1: 2", "there is no parameter '1'; known: profile"),
        ("seed: 1" + 400 * "0", "it must be a whole number from 0"),
        ("seed: 1" + 5000 * "0", "it must be a whole number from 0"),
        ("alpha: 1" + 400 * "0", "it must be a number from 0"),
        ("backbone: null", "backbone is None; it must be a text"),
        ("gradcam_layer: [a]", "gradcam_layer is ['a']; it must be a text"),
        ("backbone: None", "backbone is None; it must be a text"),
        ("alpha: big", "/own.yml: alpha is 'big'; it must be a number"),
        ("alhpa: 1", "/own.yml: there is no parameter 'alhpa'; did you mean 'alpha'?"),
        ("profile: below.yml", "/own.yml: {}/below.yml: tau is 7.0; it must be"),
        ("profile: fast", "/own.yml: profile 'fast' does not exist"),
        ("train_fraction: 0.9", "must stay below 1 (profile {}/own.yml)"),
        ("seed: !!bool perhaps", "/own.yml: seed is 'perhaps'; it must be a whole number"),
        ("seed: !!timestamp x", "/own.yml: seed is 'x'"),
        ("seed: !!map [a]", "/own.yml: seed is ['a']"),
        ("seed: !!python/name:os.getcwd x", "/own.yml: seed is 'x'"),
        ("!!map [a]", "own.yml must hold one `name: value` a line"),
    ],
)
def test_a_profile_that_cannot_be_meant_is_a_message(tmp_path, content, said):
    (tmp_path / "own.yml").write_text(content)
    (tmp_path / "other.yml").write_text("profile: own.yml")
    (tmp_path / "below.yml").write_text("tau: 7")
    with pytest.raises(UserError) as caught:
        configure(str(tmp_path / "own.yml"))
    assert said.replace("{}", str(tmp_path)) in str(caught.value)


def test_an_unknown_profile_of_the_environment_is_told_as_such(monkeypatch):
    monkeypatch.setenv("ACRLLS_PROFILE", "fast")
    with pytest.raises(UserError, match="profile 'fast' of ACRLLS_PROFILE does not exist; choose"):
        configure()


@pytest.mark.parametrize("word", ["None", "'None'", "none", "null", "~", ""])
def test_none_in_a_profile_is_none(tmp_path, word):
    names = ("data", "patience", "grid_patience", "views", "loss_strength")
    (tmp_path / "own.yml").write_text("".join(f"{name}: {word}\n" for name in names))
    found = configure(str(tmp_path / "own.yml"), data="None", patience="None")
    assert {getattr(found, name) for name in names} == {None}


@pytest.mark.parametrize(
    "name, value",
    [
        ("several_bins", [5, 0]),
        ("several_bins", [None]),
        ("fresh_images", 1.5),
        ("fresh_images", 0),
        ("size", {"a": 1}),
        ("per_class", 0),
        ("choice_seed", -1),
        ("size", "many"),
        ("sizes", [5]),
    ],
)
def test_what_sections_take_beside_settings_is_checked_where_it_enters(name, value):
    wrong = value[-1] if isinstance(value, list) else value
    with pytest.raises(UserError, match=f"{name} is {wrong!r}; it must be a whole number"):
        configure_from({"profile": "quick", name: value})


@pytest.mark.parametrize("price", ["cheap", -1, float("nan"), [1]])
def test_the_price_of_an_hour_is_a_number(price):
    with pytest.raises(UserError, match=r"price is .*; it must be a number from 0"):
        configure_from({"profile": "quick", "price": price})


def test_the_defaults_of_all_sections_are_allowed():
    for section in all_sections():
        given = {name: ast.literal_eval(text) for name, text in section.parameters.items()}
        assert configure_from(given).profile == "quick"


def test_a_backend_that_is_not_installed_is_a_message():
    code = "import acrlls\ntry: acrlls.VARIANTS; acrlls.build_model\n"
    code += "except acrlls.UserError as error: print(error)"
    for backend in ("nowhere", "torch"):
        environment = {**os.environ, "KERAS_BACKEND": backend}
        command = [sys.executable, "-c", "import sys; sys.modules['torch'] = None\n" + code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert f"cannot be loaded with the backend '{backend}'" in done.stdout


def test_a_name_that_stands_twice_in_a_profile_is_refused(tmp_path):
    (tmp_path / "p.yml").write_text("profile: quick\nalpha: 0.1\nseed: 1\nalpha: 0.2\n")
    with pytest.raises(UserError, match="alpha stands there twice"):
        configure(str(tmp_path / "p.yml"))


def test_lists_in_lists_without_end_are_refused(tmp_path):
    (tmp_path / "p.yml").write_text("[" * 5000)
    with pytest.raises(UserError, match="is not YAML"):
        configure(str(tmp_path / "p.yml"))


def test_a_profile_may_be_a_path_and_a_linked_file_keeps_its_name(tmp_path):
    (tmp_path / "real.conf").write_text("profile: quick\nalpha: 0.3\nbackbone: w.h5\n")
    (tmp_path / "blob").write_text("")
    (tmp_path / "mine.YML").symlink_to(tmp_path / "real.conf")
    (tmp_path / "w.h5").symlink_to(tmp_path / "blob")
    found = configure(tmp_path / "mine.YML")
    assert found.alpha == 0.3 and found.backbone == str(tmp_path / "w.h5")


@pytest.mark.parametrize("value", [[], [5, 5]])
def test_sections_take_no_empty_list_and_no_value_twice(value):
    with pytest.raises(UserError, match="give at least one value, and none twice"):
        configure_from({"profile": "quick", "several_bins": value})


@pytest.mark.parametrize("name", ["several_bins", "sizes"])
@pytest.mark.parametrize("value", [10, "10", {"10": 1}, None])
def test_a_list_is_asked_for_where_one_is_meant(name, value):
    with pytest.raises(UserError, match=f"{name} is .*; it must be a list"):
        configure_from({"profile": "quick", name: value})


def test_a_list_is_refused_where_one_number_is_meant():
    with pytest.raises(UserError, match=r"per_class is \[1, 2\]; it must be a whole number"):
        configure_from({"profile": "quick", "per_class": [1, 2]})


def test_numbers_of_numpy_are_numbers():
    c = configure("quick", bins=np.int64(5), alpha=np.float32(0.5), grid_tau=np.array([0.25, 0.5]))
    assert (c.bins, c.alpha, c.grid_tau) == (5, 0.5, (0.25, 0.5))
    assert all(type(v) in (int, float) for v in (c.bins, c.alpha, *c.grid_tau))  # as JSON has them


def test_a_store_among_the_images_would_be_a_class_and_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACRLLS_DATA", "images")
    monkeypatch.setenv("ACRLLS_STORE", "images/runs")
    with pytest.raises(UserError, match="images/runs lies in ACRLLS_DATA"):
        store()


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("phase1_learning_rate: 1e-3", 1e-3),
        ("phase1_learning_rate: 1.5E-3", 1.5e-3),
        ("bins: 010", 10),
        ("bins: 0o10", "bins is '0o10'"),
        ("bins: 1:30", "bins is '1:30'"),
        ("bins: 1_00", 100),
        ("augment: off", False),
        ("augment: 'TRUE'", True),
        ("data: No", "No"),
        ("backbone: on", "on"),
        ("profile: null\naugment: no", False),
        ("data: 1.10", "1.10"),
        ("data: 2020-01-01", "2020-01-01"),
        ("backbone: 1e3", "1e3"),
        ("gradcam_layer: 12", "12"),
        ("seed: 2147483648", "from 0 to 2147483647"),
    ],
)
def test_values_in_a_profile_are_what_they_look_like(tmp_path, line, value):
    (tmp_path / "own.yml").write_text(line + "\n")
    name = line.split("\n")[-1].split(":")[0]
    try:
        found = getattr(configure(str(tmp_path / "own.yml")), name)
    except UserError as error:
        assert value in str(error)
    else:
        assert found in (value, str(tmp_path / str(value))) and type(found) is type(value)
