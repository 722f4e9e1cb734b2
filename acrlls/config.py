"""Every setting of the companion, its profiles and its errors.

A :class:`Config` is one frozen record of plain values.  :func:`configure` starts from a profile (a YAML file in
``acrlls/profiles/``), lays the caller's values over it and validates the result, so that every section, the command
line and the tests speak of a parameter by the same name.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parent.parent


class UserError(Exception):
    """A mistake that the user can mend.  Shown as its message alone, without a traceback, at the command line."""


def _number(
    low: float,
    high: float,
    *,
    integer: bool = False,
    optional: bool = False,
    open_low: bool = False,
):
    """Metadata of a numeric field: its allowed range, closed unless ``open_low``."""
    return {
        "low": low,
        "high": high,
        "integer": integer,
        "optional": optional,
        "open_low": open_low,
    }


def _setting(default, *, training: bool = True, **check):
    """A field with its check; ``training=False`` keeps it out of the digest of a run."""
    if isinstance(default, list):
        raise TypeError("defaults of a frozen record are tuples")
    return field(default=default, metadata={"training": training, **check})


@dataclass(frozen=True)
class Config:
    """All settings of one run.  Defaults are the published ones; section numbers refer to Win & Yao.

    Grid fields (``grid_*``) and evaluation fields (``bins`` and below) do not reach training, so turning them
    retrains nothing.
    """

    profile: str = _setting("paper", training=False)

    # Data (Section III-A)
    data: str | None = _setting(
        None, training=False
    )  # "phantom", "kaggle", a folder; None: ACRLLS_DATA
    phantom_images: int = _setting(4000, training=False, **_number(40, 10_000_000, integer=True))
    phantom_seed: int = _setting(0, training=False, **_number(0, 2**31 - 1, integer=True))
    image_size: int = _setting(224, **_number(32, 1024, integer=True))
    input_range: str = _setting("0..1", choices=("0..1", "-1..1"))
    train_fraction: float = _setting(0.70, **_number(0.05, 0.95))
    validation_fraction: float = _setting(0.15, **_number(0.02, 0.9))
    split_seed: int = _setting(0, **_number(0, 2**31 - 1, integer=True))

    # Augmentation (Section III-A)
    augment: bool = _setting(True, boolean=True)
    rotation: float = _setting(15.0, **_number(0, 180))  # degrees, either way
    flip: float = _setting(0.5, **_number(0, 1))  # probability of a horizontal flip
    shift: float = _setting(0.10, **_number(0, 1))  # share of the side, either way, each axis
    shear: float = _setting(0.10, **_number(0, 1))  # tangent of the shear angle, either way
    zoom: float = _setting(0.15, **_number(0, 0.9))  # relative, either way
    views: int | None = _setting(
        None, **_number(1, 10_000, integer=True, optional=True)
    )  # None: one an epoch
    augment_seed: int = _setting(0, **_number(0, 2**31 - 1, integer=True))
    bank_dtype: str = _setting(
        "float32", choices=("float16", "float32")
    )  # of stored features of augmented views

    # Model (Section II)
    variant: str = _setting(
        "proposed",
        choices=(
            "baseline",
            "single_dense",
            "proposed",
            "acr_only",
            "lls_only",
            "single_dense_acr_lls",
        ),
    )
    alpha: float = _setting(0.08, **_number(0, 100))  # strength of ACR, eq. (3)
    tau: float = _setting(0.25, **_number(0, 1))  # margin that ACR aims at, eqs. (1)-(2)
    backbone: str = _setting(
        "imagenet", training=False
    )  # "imagenet", "phantom", "random", or a weights file
    backbone_width: float = _setting(1.0, **_number(0.1, 2.0))  # MobileNetV2's own alpha

    # Training (Section II-D, Algorithm 1)
    seed: int = _setting(0, **_number(0, 2**31 - 1, integer=True))
    class_weights: bool = _setting(True, boolean=True)
    batch_size: int = _setting(32, **_number(1, 65_536, integer=True))
    phase1_epochs: int = _setting(30, **_number(1, 10_000, integer=True))
    phase1_learning_rate: float = _setting(1e-3, **_number(0, 10, open_low=True))
    phase2_epochs: int = _setting(50, **_number(0, 10_000, integer=True))
    phase2_learning_rate: float = _setting(1e-4, **_number(0, 10, open_low=True))
    unfrozen_layers: int = _setting(50, **_number(0, 154, integer=True))
    batchnorm: str = _setting("update", choices=("update", "frozen"))
    # Momenta, or "reestimated": what BatchNormalization uses at prediction after Phase 2.  The first is the run's own; the
    # others are measured on the same training.  0.999 is what Keras gives MobileNetV2.
    batchnorm_statistics: tuple[float | str, ...] = _setting(
        (0.999,), each={"words": ("reestimated",), **_number(0, 1)}
    )
    patience: int | None = _setting(None, **_number(1, 10_000, integer=True, optional=True))

    # Tuning (Section III-B)
    grid_alpha: tuple[float, ...] = _setting(
        (0.08, 0.10, 0.15, 0.20), training=False, each=_number(0, 100)
    )
    grid_tau: tuple[float, ...] = _setting(
        (0.15, 0.20, 0.25, 0.30), training=False, each=_number(0, 1)
    )
    grid_epochs: int = _setting(10, training=False, **_number(1, 10_000, integer=True))
    grid_patience: int | None = _setting(
        3, training=False, **_number(1, 10_000, integer=True, optional=True)
    )

    # Evaluation (Section IV)
    bins: int = _setting(15, training=False, **_number(1, 1000, integer=True))
    resamples: int = _setting(
        1000, training=False, **_number(19, 1_000_000, integer=True)
    )  # fewer tell no 5 %
    gradcam_layer: str = _setting("out_relu", training=False)

    def __post_init__(self):
        for f in dataclasses.fields(self):
            object.__setattr__(self, f.name, _checked(f.name, getattr(self, f.name), f.metadata))
        if self.train_fraction + self.validation_fraction >= 1:
            raise UserError(
                f"train_fraction {self.train_fraction} and validation_fraction {self.validation_fraction} leave "
                "nothing to test on: their sum must stay below 1"
            )

    def replace(self, **changes: Any) -> Config:
        """A copy with some values changed, validated like the first."""
        _refuse_unknown(changes)
        return dataclasses.replace(self, **changes)

    def training_settings(self) -> dict[str, Any]:
        """The settings that reach training, those that the digest of a run covers."""
        return {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.metadata["training"]
        }

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def profiles() -> list[str]:
    """Names of the profiles that ship with the package."""
    return sorted(
        p.name.removesuffix(".yml")
        for p in (resources.files("acrlls") / "profiles").iterdir()
        if p.name.endswith(".yml")
    )


def configure(profile: str | None = None, **overrides: Any) -> Config:
    """Profile plus the caller's values; ``None`` means "as the profile says".

    Args:
        profile: ``"quick"``, ``"laptop"``, ``"paper"``, or the path of a YAML file of your own, which may name a
            profile to start from as ``profile``.  The environment variable ``ACRLLS_PROFILE`` wins over
            ``"quick"``, the default of every notebook, and over nothing else.
        **overrides: any field of :class:`Config`.

    Raises:
        UserError: unknown profile or parameter, or a value outside its range; the message names the parameter, the
            value and what is allowed.
    """
    if profile is None or profile == "quick":
        profile = os.environ.get("ACRLLS_PROFILE") or profile or "quick"
    settings = _profile_settings(profile)
    _refuse_unknown(overrides)
    settings.update({k: v for k, v in overrides.items() if v is not None})
    if os.environ.get("ACRLLS_DATA") and overrides.get("data") is None:
        settings["data"] = os.environ["ACRLLS_DATA"]
    return Config(profile=profile, **settings)


def configure_from(namespace: Mapping[str, Any]) -> Config:
    """The config that a notebook's parameters describe: ``configure_from(globals())``.

    Names that are no settings are the notebook's own affair.

    Raises:
        UserError: as :func:`configure`.
    """
    names = [f.name for f in dataclasses.fields(Config) if f.name in namespace]
    return configure(**{name: namespace[name] for name in names})


def _profile_settings(profile: str) -> dict[str, Any]:
    """What a profile that ships, or a YAML file of the user's, sets."""
    if profile in profiles():
        return _settings_in(resources.files("acrlls") / "profiles" / f"{profile}.yml")
    if not profile.endswith((".yml", ".yaml")):
        raise UserError(
            f"profile {profile!r} does not exist; choose one of: {', '.join(profiles())}; or give a YAML file"
        )
    settings = _settings_in(Path(profile).expanduser())
    start = settings.pop("profile", "quick")
    return {**_profile_settings(start), **settings}


def _settings_in(file) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(file.read_text("utf-8")) or {}
    except OSError as error:
        raise UserError(f"profile {file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"profile {file} is not YAML: {error}") from error
    if not isinstance(settings, dict):
        raise UserError(f"profile {file} must hold one `name: value` a line")
    _refuse_unknown(settings)
    return settings


def _refuse_unknown(names) -> None:
    known = [f.name for f in dataclasses.fields(Config)]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = (
                f"; did you mean {near[0]!r}?"
                if near
                else f"; known parameters: {', '.join(known)}"
            )
            raise UserError(f"there is no parameter {name!r}{hint}")


def _checked(name: str, value: Any, meta) -> Any:
    """The value in its canonical type, or a :class:`UserError` that says what is allowed."""
    if "each" in meta:
        values = value if isinstance(value, (list, tuple)) else [value]
        if not values:
            raise UserError(f"{name} is empty; give at least one value")
        return tuple(_checked(name, v, meta["each"]) for v in values)
    if value in meta.get("words", ()):
        return value
    if "choices" in meta and value not in meta["choices"]:
        raise UserError(f"{name} is {value!r}; choose one of: {', '.join(meta['choices'])}")
    if "boolean" in meta and not isinstance(value, bool):
        raise UserError(f"{name} is {value!r}; it must be true or false")
    if "low" in meta:
        return _checked_number(name, value, meta)
    return value


def _checked_number(name: str, value: Any, meta) -> Any:
    if value is None and meta["optional"]:
        return None
    kind = "a whole number" if meta["integer"] else "a number"
    above = "above" if meta["open_low"] else "from"
    allowed = f"it must be {kind} {above} {meta['low']:g} to {meta['high']:g}" + (
        " (or None)" if meta["optional"] else ""
    )
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UserError(f"{name} is {value!r}; {allowed}")
    if meta["integer"] and value != int(value):
        raise UserError(f"{name} is {value!r}; {allowed}")
    if not meta["low"] <= value <= meta["high"] or (meta["open_low"] and value == meta["low"]):
        raise UserError(f"{name} is {value!r}; {allowed}")
    return int(value) if meta["integer"] else float(value)
