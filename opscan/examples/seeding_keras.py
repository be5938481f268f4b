"""Where to seed, with Keras 3: three trainings of one MLP. It needs keras, on any backend.

Try `KERAS_BACKEND=torch opscan verify opscan.examples.seeding_keras:unseeded`, `:seeded_late` and `:seeded_first`: the
first two part at their initial weights, the third is identical to the last bit.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from opscan.examples.keras_mlp import make_model


def _fit(model: Any) -> Any:
    """The history of two epochs on made-up images and classes, of the sizes of MNIST's."""
    rng = np.random.default_rng(7)
    images, classes = rng.random((512, 784), dtype="float32"), rng.integers(0, 10, 512)
    return model.fit(images, classes, batch_size=64, epochs=2, verbose=0)


def unseeded() -> Any:
    """No seed: other weights and another order in every run."""
    return _fit(make_model())


def seeded_late() -> Any:
    """Seeded after the model was built: the order of the data repeats, the weights do not."""
    model = make_model()
    keras.utils.set_random_seed(1)
    return _fit(model)


def seeded_first() -> Any:
    """Seeded before the model is built."""
    keras.utils.set_random_seed(1)
    return _fit(make_model())
