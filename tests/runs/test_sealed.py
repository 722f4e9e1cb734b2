"""What is served is what was trained: kept runs are checked, and disks that refuse are told of."""

import os
import shutil
import threading

import pytest

from acrlls import cli, runs, training
from acrlls.config import UserError
from acrlls.data import load_data
from acrlls.runs import cache
from acrlls.runs import runs as runs_module
from acrlls.store import Damaged, damage, kept, locked, seal, store, write_text, writing


@pytest.fixture
def kept_run(tmp_path):
    """A folder as a training leaves it, with a few small files."""
    for name, text in {"config.json": '{"seed": 0}', "predictions.csv.gz": "12"}.items():
        (tmp_path / name).write_text(text)
    seal(tmp_path, {"class_names": ["A", "B"], "best": {"1": {"val_loss": 0.5}}})
    return tmp_path


def test_a_run_as_it_was_trained_is_whole(kept_run):
    assert damage(kept_run) is None and damage(kept_run) is None


def edited(file, old, new):
    file.write_text(file.read_text().replace(old, new))


@pytest.mark.parametrize(
    "harm, said",
    [
        (lambda f: edited(f / "predictions.csv.gz", "12", "21"), "predictions.csv.gz was edited"),
        (lambda f: edited(f / "predictions.csv.gz", "12", "1"), "predictions.csv.gz was edited"),
        (lambda f: edited(f / "config.json", "0", "1"), "config.json was edited"),
        (lambda f: (f / "config.json").unlink(), "config.json is missing"),
        (lambda f: edited(f / "manifest.json", '"A"', '"C"'), "manifest.json was edited"),
        (lambda f: (f / "manifest.json").write_text('{"A": '), "manifest.json was edited or"),
        (lambda f: (f / "manifest.json").write_text("[]"), "manifest.json was edited or"),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json was edited or"),
    ],
)
@pytest.mark.parametrize("seen", [True, False])
def test_any_change_is_named(kept_run, harm, said, seen):
    assert not seen or damage(kept_run) is None  # also where this process has read it before
    harm(kept_run)
    assert said in damage(kept_run)


@pytest.fixture
def short(tiny, trained, monkeypatch, tmp_path):
    """A config in a store of its own, whose training writes two files, and those trained."""
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path))
    return tiny, trained


@pytest.mark.parametrize("name", ["history.csv", "manifest.json", "best.json"])
def test_a_damaged_run_is_named_and_trained_again(short, caplog, name):
    config, trained = short
    folder = runs.run(config).folder
    (folder / name).unlink()
    runs.run(config)
    assert "is missing; it is trained again" in caplog.text and len(trained) == 2
    runs.run(config)
    assert len(trained) == 2


def test_a_run_is_sealed_where_git_is_not_installed(short, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert runs.run(short[0]).manifest["commit"] is None


@pytest.mark.parametrize("as_file", [False, True])
def test_what_the_training_finds_damaged_is_named_and_made_from_nothing(
    short, caplog, monkeypatch, as_file
):
    config, trained = short
    folder = runs.run(config).folder
    aside = folder.with_suffix(".partial")
    train = training.train

    def meets_damage(config, dataset, folder):
        if (folder / "last_1.npz").exists():
            raise Damaged("last_1.npz is damaged")
        train(config, dataset, folder)

    monkeypatch.setattr("acrlls.training.train", meets_damage)
    shutil.rmtree(folder)
    if as_file:
        folder.write_text("")
    write_text(aside / "last_1.npz", "")
    assert runs.run(config).folder == folder and len(trained) == 2 and not aside.exists()
    assert "last_1.npz is damaged; it is trained from the start" in caplog.text


def test_what_is_kept_is_made_again_where_it_is_missing_or_damaged(tmp_path, caplog):
    file, made = tmp_path / "number", []

    def make():
        made.append(1)
        file.write_text("7")
        return 7

    for harm in (None, lambda: file.write_text("x"), lambda: (file.unlink(), file.mkdir())):
        if harm:
            harm()
            caplog.clear()
        assert [kept(file, lambda: int(file.read_text()), make) for _ in range(2)] == [7, 7]
        assert ("number is damaged" in caplog.text) == bool(harm)
    assert len(made) == 3


def test_what_cannot_be_read_now_is_not_made_again(tmp_path):
    with pytest.raises(UserError, match="a cannot be read: Read-only") as caught:
        kept(tmp_path / "a", refusing, lambda: pytest.fail("made again"))
    assert not isinstance(caught.value, Damaged)


def test_images_that_changed_since_a_run_was_asked_for_are_not_trained_on(short, monkeypatch):
    changed = load_data(short[0]).fingerprint + "0"
    monkeypatch.setattr(runs_module, "_place", lambda config: (store() / "0123", changed))
    with pytest.raises(UserError, match="run 0123: its images have changed"):
        runs.run(short[0])
    assert not short[1]


def test_a_file_that_keeps_size_and_time_is_seen_to_have_changed(kept_run):
    file = kept_run / "predictions.csv.gz"
    stat = file.stat()
    assert damage(kept_run) is None
    file.write_text("21")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert damage(kept_run) == "predictions.csv.gz was edited"


def test_a_run_is_listed_whatever_is_wrong_with_it(short):
    folder = runs.run(short[0]).folder
    (folder / "config.json").unlink()
    assert [entry.name for entry in cache.entries(["runs"])] == [folder.name]


def test_a_link_that_leads_nowhere_is_listed_and_deleted(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path))
    (tmp_path / "phantom").mkdir()
    (tmp_path / "bank" / "key").mkdir(parents=True)
    links = [tmp_path / name for name in ("bank/key/pool", "bank/x")]
    links += [tmp_path / "phantom" / "0123.npz", tmp_path / "abcdef0123"]
    for link in links:
        link.symlink_to(tmp_path / "gone")
    assert {entry.path for entry in cache.entries()} == {*links}
    assert cli.main(["cache", "features", "phantom", "runs", "--clear"]) == 0
    assert "4 entries, 0.0 MB, deleted" in capsys.readouterr().out and not cache.entries()


def test_a_run_in_training_is_not_deleted(short, capsys):
    folder = store() / "abcdef0123.partial"
    write_text(folder / "config.json", "{}")
    with locked(folder.with_suffix(".lock")):
        answer = []
        other = threading.Thread(
            target=lambda: answer.append(cli.main(["cache", "abc", "--clear"]))
        )
        other.start()
        other.join()
    assert answer == [1] and folder.exists()
    said = capsys.readouterr().out
    assert "another process is making it" in said and "0 entries, 0.0 MB, deleted" in said
    assert cli.main(["cache", "abc", "--clear"]) == 0 and not folder.exists()


def test_what_may_not_be_deleted_is_not_said_to_be(short, capsys, monkeypatch):
    write_text(store() / "abcdef0123.partial" / "config.json", "{}")
    monkeypatch.setattr("shutil.rmtree", refusing)
    assert cli.main(["cache", "unfinished", "--clear"]) == 1
    said = capsys.readouterr()
    assert "Read-only file system" in said.err and "deleted" not in said.out


def refusing(*args, **kwargs):
    raise OSError(30, "Read-only file system")


def test_a_full_disk_is_a_message_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path))
    said = pytest.raises(UserError, match="a cannot be written: No space left.*acrlls cache")
    with said, writing(tmp_path / "a") as handle:
        handle.write(b"half")
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_what_is_no_part_of_the_store_is_not_mended_by_clearing_it(tmp_path, monkeypatch):
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "store"))
    (tmp_path / "file").write_text("")
    with pytest.raises(
        UserError, match="page.html cannot be written: .*file is no folder; name another place$"
    ):
        write_text(tmp_path / "file" / "page.html", "text")


def test_a_training_on_a_full_disk_is_a_message(short, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs_module, "_train", full)
    with pytest.raises(UserError, match="cannot be written: No space left"):
        runs.run(short[0])


def test_a_store_that_is_a_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="ACRLLS_STORE is '.*file', which is no folder"):
        store()
    with pytest.raises(UserError, match="which is no folder"), locked(tmp_path / "file" / "lock"):
        pass
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "file" / "below"))
    assert cli.main(["cache"]) == 2
    with pytest.raises(UserError, match="ACRLLS_STORE is '.*below', but .*file is no folder"):
        store()


def test_a_run_that_is_kept_is_taken_from_a_store_that_cannot_be_written_to(short, monkeypatch):
    folder = runs.run(short[0]).folder
    (folder.with_suffix(".lock")).unlink()
    monkeypatch.setattr("pathlib.Path.mkdir", refusing)
    monkeypatch.setattr(os, "replace", refusing)
    assert runs.run(short[0]).folder == folder
    with pytest.raises(UserError, match="Read-only file system"):
        runs.run(short[0].replace(seed=5))


def test_a_file_has_its_name_only_when_its_content_is_on_the_disk(tmp_path, monkeypatch):
    file, told = tmp_path / "kept", []

    def sync(handle):
        told.append((os.fstat(handle).st_size, file.exists()))

    monkeypatch.setattr(os, "fsync", sync)
    with writing(file) as handle:
        handle.write(b"whole")
    assert told == [(5, False)] and file.read_bytes() == b"whole"
