"""What the phases of Algorithm 1 do: epochs, learning rates, views (Section II-D)."""

from __future__ import annotations

from dataclasses import dataclass

from acrlls.config import Config


@dataclass(frozen=True)
class PhasePlan:
    """A phase: its number (1 or 2), epochs, learning rate, and the augmented view of each epoch."""

    phase: int
    epochs: int
    learning_rate: float
    first_epoch: int

    def view(self, epoch: int, config: Config) -> int | None:
        """The view that epoch ``epoch`` (from 0) trains on; ``None`` without augmentation."""
        if not config.augment:
            return None
        number = self.first_epoch + epoch
        return number if config.views is None else number % config.views

    def views(self, config: Config) -> set[int | None]:
        return {self.view(epoch, config) for epoch in range(self.epochs)}


def phases(config: Config) -> list[PhasePlan]:
    """The phases of Algorithm 1 by a config: two, or the first alone if the second has no epoch."""
    plans = [
        PhasePlan(1, config.phase1_epochs, config.phase1_learning_rate, 0),
        PhasePlan(2, config.phase2_epochs, config.phase2_learning_rate, config.phase1_epochs),
    ]
    return [plan for plan in plans if plan.epochs]
