"""Every setting of the companion, its profiles (files in ``acrlls/profiles/``) and its errors."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
from collections.abc import Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parent.parent
_PROFILES = PROJECT / "acrlls" / "profiles"
# Values of a setting or an environment variable that are words; any other is a path.
_WORDS = {"data": ("phantom", "kaggle"), "backbone": ("imagenet", "phantom", "random")}
_VARIANTS = "baseline single_dense proposed acr_only lls_only single_dense_acr_lls"
_LOSSES = "label_smoothing focal flsd53 entropy_penalty mbls mixup correctness_ranking"
_WITHOUT_STRENGTH = ("cross_entropy", "flsd53")
_YAML = (".yml", ".yaml")
# settings that do not reach training, or reach it by the digests of images and weights
_UNTRAINED = "profile data phantom_images phantom_seed backbone grid_alpha grid_tau grid_epochs "
_UNTRAINED += "grid_patience bins resamples gradcam_layer"
# Least and largest value, and by it the kind, of numbers, or lists, that sections take besides.
_LISTS = {"several_bins": (1, 1000), "sizes": (10, 10**7)}
_OF_SECTIONS = {**_LISTS, "size": (10, 10**7), "fresh_images": (40, 10**7), "price": (0.0, 1e6)}
_OF_SECTIONS |= {"repetitions": (1, 10**6), "per_class": (1, 10**6), "choice_seed": (0, 2**31 - 1)}


class UserError(Exception):
    """A mistake that the user can mend.  The command line shows its message without a traceback."""


def _within(default, low, high, *, above=False, words=()):
    """A number in [low, high], or in (low, high] if ``above``, or several, or words."""
    check = {"low": low, "high": high, "above": above, "words": words}
    return dataclasses.field(default=default, metadata=check)


def _choice(default, *choices):
    return dataclasses.field(default=default, metadata={"choices": choices})


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of one run.  Defaults are the published ones; sections are those of Win & Yao.

    Grid fields (``grid_*``) and evaluation fields (``bins`` and below) do not reach training."""

    profile: str = "paper"
    # Data (Section III-A)
    data: str | None = None  # "phantom", "kaggle" or a folder; None: ACRLLS_DATA
    phantom_images: int = _within(4000, 40, 10_000_000)
    phantom_seed: int = _within(0, 0, 2**31 - 1)
    image_size: int = _within(224, 32, 1024)
    input_range: str = _choice("0..1", "0..1", "-1..1")
    train_fraction: float = _within(0.70, 0.05, 0.95)
    validation_fraction: float = _within(0.15, 0.02, 0.9)
    split_seed: int = _within(0, 0, 2**31 - 1)
    # Augmentation (Section III-A)
    augment: bool = _choice(True, True, False)
    rotation: float = _within(15.0, 0, 180)  # degrees, either way
    flip: float = _within(0.5, 0, 1)  # probability of a horizontal flip
    shift: float = _within(0.10, 0, 1)  # share of the side, either way, each axis
    shear: float = _within(0.10, 0, 1)  # tangent of the shear angle, either way
    zoom: float = _within(0.15, 0, 0.9)  # relative, either way
    views: int | None = _within(None, 1, 10_000)  # augmented ones of an image; None: one an epoch
    augment_seed: int = _within(0, 0, 2**31 - 1)
    bank_dtype: str = _choice("float32", "float16", "float32")  # of stored features of views
    # Model (Section II)
    variant: str = _choice("proposed", *_VARIANTS.split())
    alpha: float = _within(0.08, 0, 100)  # strength of ACR, eq. (3)
    tau: float = _within(0.25, 0, 1)  # margin that ACR aims at, eqs. (1)-(2)
    backbone: str = "imagenet"  # "imagenet", "phantom", "random", or a weights file
    backbone_width: float = _within(1.0, 0.1, 2.0)  # MobileNetV2's own alpha
    # Training (Section II-D, Algorithm 1)
    seed: int = _within(0, 0, 2**31 - 1)
    class_weights: bool = _choice(True, True, False)
    # what ACR and LLS compete with (acrlls.method.losses), and its strength; None: the published
    loss: str = _choice(*["cross_entropy"] * 2, *_LOSSES.split())
    loss_strength: float | None = _within(None, 0, 100)
    batch_size: int = _within(32, 1, 65_536)
    phase1_epochs: int = _within(30, 1, 10_000)
    phase1_learning_rate: float = _within(1e-3, 0, 10, above=True)
    phase2_epochs: int = _within(50, 0, 10_000)
    phase2_learning_rate: float = _within(1e-4, 0, 10, above=True)
    unfrozen_layers: int = _within(50, 0, 154)
    batchnorm: str = _choice("update", "update", "frozen")
    # Momenta, or "reestimated": what BatchNormalization uses at prediction after Phase 2; first the
    # run's own (0.999: Keras's for MobileNetV2), then others, measured on the same training.
    batchnorm_statistics: tuple[float | str, ...] = _within((0.999,), 0, 1, words=("reestimated",))
    patience: int | None = _within(None, 1, 10_000)
    # Tuning (Section III-B)
    grid_alpha: tuple[float, ...] = _within((0.08, 0.10, 0.15, 0.20), 0, 100)
    grid_tau: tuple[float, ...] = _within((0.15, 0.20, 0.25, 0.30), 0, 1)
    grid_epochs: int = _within(10, 1, 10_000)
    grid_patience: int | None = _within(3, 1, 10_000)
    # Evaluation (Section IV)
    bins: int = _within(15, 1, 1000)
    resamples: int = _within(1000, 19, 1_000_000)  # fewer tell no 5 %
    gradcam_layer: str = "out_relu"

    def __post_init__(self):
        for f in dataclasses.fields(self):
            object.__setattr__(self, f.name, _checked(f, getattr(self, f.name)))
        if sum(both := (self.train_fraction, self.validation_fraction)) >= 1:
            what = "train_fraction {} and validation_fraction {} leave no test images: their sum"
            raise UserError(f"{what.format(*both)} must stay below 1 (profile {self.profile})")
        if (given := self.loss_strength) is not None and self.loss in _WITHOUT_STRENGTH:
            takes = ", ".join(name for name in _LOSSES.split() if name not in _WITHOUT_STRENGTH)
            raise UserError(f"loss_strength is {given:g}; {self.loss} takes none, but {takes} do")
        if self.loss == "label_smoothing" and (given or 0) > 1:
            raise UserError(f"loss_strength is {given:g}; of label_smoothing it is from 0 to 1")

    def replace(self, **changes: Any) -> Config:
        """A copy with some values changed, validated like the first."""
        return dataclasses.replace(self, **_entered(changes))

    def training_settings(self) -> dict[str, Any]:
        """The settings that reach training, those that the digest of a run covers."""
        return {name: v for name, v in self.as_dict().items() if name not in _UNTRAINED.split()}

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def profiles() -> list[str]:
    """Names of the profiles that ship with the package."""
    return sorted(file.stem for file in _PROFILES.glob("*.yml"))


def configure(profile: str | None = None, **overrides: Any) -> Config:
    """Profile plus the caller's values, fields of :class:`Config`; ``None``: as the profile says.

    ``profile`` is ``"quick"``, ``"laptop"``, ``"paper"``, or the path of a YAML file of your own,
    which may name a profile to start from as ``profile``; paths in it count from its folder.
    ``ACRLLS_PROFILE`` wins over ``"quick"``, the default of every notebook, and nothing else.  A
    ``UserError`` names an unknown profile or parameter, or a value outside its range.
    """
    if profile is None or str(profile) == "quick":
        profile = environment_path("ACRLLS_PROFILE") or "quick"
    settings = _profile_settings(profile := _absolute("profile", profile))
    if overrides.get("data") is None and (data := environment_path("ACRLLS_DATA")):
        settings["data"] = data
    settings |= {k: v for k, v in _entered(overrides).items() if v is not None}
    return Config(profile=profile, **settings)


def configure_from(namespace: Mapping[str, Any]) -> Config:
    """The config that a notebook's parameters describe: ``configure_from(globals())``.

    Numbers that sections take beside settings are checked; other names are the notebook's own."""
    for name, ends in ((n, ends) for n, ends in _OF_SECTIONS.items() if n in namespace):
        value, checked = namespace[name], _numbers if name in _LISTS else _number
        # a cell run a second time may find another kind of thing by this name
        plain = isinstance(value, (Real, str, list, tuple, dict))
        if plain or (value is None and name != "fresh_images"):
            checked(name, value, _within(None, *ends).metadata, type(ends[0]).__name__)
    return configure(**{n: namespace[n] for n in Config.__dataclass_fields__ if n in namespace})


def environment_path(name: str) -> str | None:
    """What ``ACRLLS_STORE``, ``ACRLLS_DATA`` or ``ACRLLS_PROFILE`` says, a path made absolute, in
    the variable too, so that a process started from here in another folder finds the same."""
    if value := os.environ.get(name):
        os.environ[name] = _absolute(name, value)
    return os.environ.get(name) or None


def hint(name: Any, known: Iterable[str], shown: Iterable[str] = ()) -> str:
    """Which known name may be meant; where none is near, the known ones, or those to be shown."""
    near = difflib.get_close_matches(str(name), known := list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(shown or known)}"


def absolute_paths(settings: Mapping[str, Any], start: Path = Path()) -> dict[str, Any]:
    """Settings in which each path, ``profile`` among them, is absolute."""
    named = [name for name in ("profile", *_WORDS) if settings.get(name) is not None]
    return {**settings, **{name: _absolute(name, settings[name], start) for name in named}}


def _absolute(name: str, path: str | Path, start: Path = Path()) -> str:
    """A path from ``start`` with ``~`` and ``$NAME`` expanded and the links to its folder followed;
    a linked file keeps its own name, by whose suffix it is read.  Words that are no path stay."""
    kind, word = name.removeprefix("ACRLLS_").lower(), str(path).strip().lower()
    if not isinstance(path, (str, Path)) or not word:
        raise UserError(f"{name} is {path!r}; it must be a name or a path, as text")
    if path in _WORDS.get(kind, ()) or (kind == "profile" and not word.endswith(_YAML)):
        return str(path)
    try:
        path = start / Path(os.path.expandvars(path)).expanduser()
        found = path.resolve()
        if word in _WORDS.get(kind, ()) and not found.exists():
            raise UserError(f"{name} {str(path)!r} does not exist; did you mean {word!r}?")
        return str(found if found.is_dir() else path.parent.resolve() / path.name)
    except (ValueError, OSError, RuntimeError) as error:  # a zero byte, a loop, an unknown ~user
        raise UserError(f"{name} {str(path)!r} is no path: {error}") from error


def _entered(settings: Mapping[str, Any], start: Path = Path()) -> dict[str, Any]:
    """Settings as a user gives them: unknown names refused, paths absolute, "None" read as none."""
    known = Config.__dataclass_fields__
    for name in (name for name in settings if name not in known):
        raise UserError(f"there is no parameter {name!r}; {hint(name, known)}")
    plain = {name: None if str(v).lower() == "none" else v for name, v in settings.items()}
    return absolute_paths(plain, start)


def _profile_settings(profile: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """What a profile that ships, or a YAML file of the user's, sets; ``above`` start from it."""
    if profile in above:
        raise UserError(f"profile {profile} starts from itself")
    if profile in profiles():
        return _settings_in(_PROFILES / f"{profile}.yml")
    if not profile.lower().endswith(_YAML):
        known = f"choose one of: {', '.join(profiles())}; or give a YAML file (.yml)"
        by = " of ACRLLS_PROFILE" * (profile == os.environ.get("ACRLLS_PROFILE"))
        raise UserError(f"profile {profile!r}{by} does not exist; {known}")
    given = _settings_in(file := Path(profile))
    try:
        settings = _entered(given, file.parent)
        start = settings.pop("profile", None) or "quick"
        settings = {n: _checked(Config.__dataclass_fields__[n], v) for n, v in settings.items()}
        return {**_profile_settings(start, (*above, profile)), **settings}
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


# text until something else is asked for: YAML takes 1e-3 for text, 010 for 8, No for false
class _Loader(yaml.BaseLoader):
    def construct_mapping(self, node, deep=False):
        names = [key.value for key, _ in node.value]
        if twice := {str(name) for name in names if names.count(name) > 1}:
            raise yaml.YAMLError(f"{', '.join(sorted(twice))} stands there twice")
        return super().construct_mapping(node, deep)


def _settings_in(file) -> dict[str, Any]:
    try:
        text = file.read_text("utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise yaml.YAMLError("an alias (*name) is not read; write out what it stands for")
        settings = yaml.load(text, _Loader) or {}
    except OSError as error:
        raise UserError(f"profile {file} cannot be read: {error.strerror}") from error
    # a ValueError: not UTF-8, or a huge number; a RecursionError: lists in lists without end
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"profile {file} is not YAML: {error}") from error
    if not isinstance(settings, dict):
        raise UserError(f"profile {file} must hold one `name: value` a line")
    return {n: None if str(v).lower() in ("null", "~", "") else v for n, v in settings.items()}


def _checked(setting: dataclasses.Field, value: Any) -> Any:
    """The value in its canonical type, or a :class:`UserError` that says what is allowed."""
    name, check = setting.name, setting.metadata
    if isinstance(setting.default, tuple):
        return tuple(_numbers(name, value, check))
    if "low" in check:
        return _number(name, value, check, setting.type)
    choices = check.get("choices")
    if choices == (True, False):
        value = yaml.SafeLoader.bool_values.get(str(value).lower(), str(value))
    if choices and str(value) not in map(str, choices):
        raise UserError(f"{name} is {value!r}; choose one of: {', '.join(map(str, choices))}")
    if setting.type == "str" and not isinstance(value, str):
        raise UserError(f"{name} is {value!r}; it must be a text")
    return value


def _numbers(name: str, value: Any, check: Mapping, kind: str = "float") -> list:
    several = isinstance(value, (list, tuple)) or getattr(value, "ndim", 0) == 1  # an array
    values, words = list(value) if several else [value], check["words"]
    if not several and name in _LISTS:
        raise UserError(f"{name} is {value!r}; it must be a list, such as [10, 20]")
    found = [v if str(v) in words else _number(name, v, check, kind) for v in values]
    if not found or len(set(found)) < len(found):
        raise UserError(f"{name} is {found}; give at least one value, and none twice")
    return found


def _number(name: str, value: Any, check: Mapping, kind: str = "float") -> int | float | None:
    low, high, whole, optional = check["low"], check["high"], "int" in kind, "None" in kind
    if optional and value is None:
        return None
    if isinstance(value, str) and name not in _OF_SECTIONS:  # as a profile has it
        with contextlib.suppress(ValueError):
            value = float(value)
    inside = isinstance(value, Real) and not isinstance(value, bool)  # NumPy's are real, too
    inside = inside and low <= value <= high and not (check["above"] and value == low)  # NaN is not
    if not inside or (whole and value != int(value)):
        allowed = "a whole number" if whole else "a number"
        allowed += f" {'above' if check['above'] else 'from'} {low:g} to {high:.10g}"
        raise UserError(f"{name} is {value!r}; it must be {allowed}{' (or None)' * optional}")
    return int(value) if whole else float(value)
