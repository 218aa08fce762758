"""Images with labels, in batches. Layer: datasets."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyflow.errors import FeedError

__all__ = ["Array", "Batches"]

Array = np.ndarray[Any, Any]


class Batches:
    """Images with their labels, handed out in batches.

    ``images`` float32 in [0, 1], (n, 1, 28, 28), (n, 784) or (n, 3, 32, 32); ``labels`` int64 (n,)
    or, one-hot, float32 (n, 10).
    """

    def __init__(self, images: Array, labels: Array) -> None:
        self.images, self.labels = images, labels
        self._next = 0

    def next_batch(self, batch_size: int) -> tuple[Array, Array]:
        """The next ``batch_size`` images and labels (views; copy before writing to them).

        The order is fixed. When fewer are left, it starts again at the first image, so that every
        batch is full. Raises FeedError if the size is not between 1 and the number of images.
        """
        count = len(self.images)
        if not isinstance(batch_size, int | np.integer) or not 1 <= batch_size <= count:
            raise FeedError("wrong batch size", got=repr(batch_size), expected=f"1 to {count}")
        if self._next + batch_size > count:
            self._next = 0
        part = slice(self._next, self._next + int(batch_size))
        self._next = part.stop
        return self.images[part], self.labels[part]

    def __len__(self) -> int:
        return len(self.images)
