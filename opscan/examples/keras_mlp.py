"""A 784-128-10 MLP in Keras 3. It needs keras, on the torch backend.

Try `KERAS_BACKEND=torch opscan check opscan.examples.keras_mlp:make_model`: one step of fit is traced.
"""

from __future__ import annotations

from typing import Any

import keras


def make_model() -> Any:
    """The MLP, compiled with Adam and a sparse categorical cross entropy."""
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
