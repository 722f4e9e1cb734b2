"""The rules of ``claims.yml``, the verdicts first: their names and what they mean."""

from pathlib import Path

import yaml

RULES = yaml.safe_load(Path(__file__).with_name("claims.yml").read_text("utf-8"))
MEANING: dict[str, str] = RULES["verdicts"]
VERDICTS = tuple(MEANING)
CONTRARY, LOWER, NOISE, DEPENDS, DIFFERS, TOO_FEW, STANDS_OUT, *_REST = VERDICTS
REPRODUCED, FOLLOWS, COMPATIBLE, UNCHECKABLE = _REST
