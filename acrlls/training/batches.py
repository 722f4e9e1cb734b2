"""Batches of a part of the images, as they are or mixed."""

from collections.abc import Callable

import keras
import numpy as np


class Batches(keras.utils.PyDataset):
    """Batches in a given order: ``fetch(rows)`` gives the inputs, float32 `(batch, ...)`; labels
    are `(n,)`, or what else stands for them, `(n, ...)`.
    """

    def __init__(self, fetch: Callable, labels, order, batch_size: int):
        super().__init__()
        self.fetch, self.labels, self.order, self.batch_size = fetch, labels, order, batch_size
        self.mixing = None  # after `mix`, for each place its partner's place, and its own share

    def __len__(self):
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index):
        return self.take(slice(index * self.batch_size, (index + 1) * self.batch_size))

    def take(self, places: slice = slice(None)):
        """Inputs and labels at some places of the order, whole batches of it."""
        rows = self.order[places]
        x, y = self.fetch(rows), self.labels[rows]
        if self.mixing is None:
            return x, y
        partners, shares = (of_all[places] for of_all in self.mixing)
        partners = partners - (places.start or 0)

        def mixed(values):
            share = shares.reshape(-1, *[1] * (values.ndim - 1))
            return share * values + (1 - share) * values[partners]

        return mixed(x), mixed(y)

    def mix(self, rng: np.random.Generator, alpha: float) -> None:
        """Mixup (H. Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018): from now
        on each image and its label, a row of class shares, are mixed with those of another image of
        its batch, by one share a batch, from Beta(alpha, alpha); with alpha 0, not at all."""
        n, size = len(self.order), self.batch_size
        batches = [np.arange(n)[k : k + size] for k in range(0, n, size)]
        partners = np.concatenate([rng.permutation(places) for places in batches])
        shares = rng.beta(alpha, alpha, len(self)) if alpha else np.ones(len(self))
        self.mixing = partners, np.repeat(shares, size)[:n].astype(np.float32)
