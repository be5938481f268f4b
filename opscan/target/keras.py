"""Whether something is Keras', and on which backend.

Keras is not imported here: a model that is one has brought it along.

Source: keras 3.15 src/layers/layer.py, src/backend/config.py.
"""

from __future__ import annotations

import sys
from typing import Any


def is_keras(value: object) -> bool:
    """Whether it is a Keras model or layer, on whatever backend; a class is one if its instances are."""
    layers: Any = sys.modules.get("keras.src.layers.layer")
    kind = value if isinstance(value, type) else type(value)
    return layers is not None and issubclass(kind, layers.Layer)


def backend_of_keras() -> str:
    """The backend that Keras, which is loaded, runs on."""
    config: Any = sys.modules["keras.src.backend.config"]
    return str(config.backend())
