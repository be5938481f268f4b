"""Keras 3 models on the torch backend: what their inputs are, and one step of `fit`.

Keras is not imported here: a model that is one has brought it along.
Source: keras 3.15 src/backend/torch/trainer.py (train_step), src/models/functional.py (input_shape).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from opscan.steps.batch import Batch
from opscan.steps.reading import WHOLE, Part, Reading
from opscan.steps.step import TrainingStep
from opscan.target.inputs import InputSpec

_BATCH = 2
_ASSUMED_SIZE = 32  # for a dimension of the input that the model leaves open, such as the length of a sequence


def keras_inputs(model: nn.Module) -> dict[str, InputSpec]:
    """The inputs a built model says it takes, by name; nothing where it does not say."""
    tensors = getattr(model, "inputs", None)
    if not isinstance(tensors, list | tuple):
        shape = getattr(model, "_build_shapes_dict", None) or {}
        shapes = [each for each in shape.values() if _is_shape(each)]
        return {name: _spec(each, "float32", name) for name, each in zip(_names(len(shapes)), shapes, strict=True)}
    keyed = getattr(model, "_inputs_struct", None)
    names = [str(key) for key in keyed] if isinstance(keyed, dict) else _names(len(tensors))
    return {name: _spec(each.shape, str(each.dtype), name) for name, each in zip(names, tensors, strict=True)}


def is_built(model: Any) -> bool:
    """Whether all its layers have their weights."""
    return all(layer.built for layer in model._flatten_layers())


def _names(count: int) -> list[str]:
    return ["x"] if count == 1 else [f"x{number}" for number in range(1, count + 1)]


def _is_shape(value: object) -> bool:
    return isinstance(value, tuple) and all(each is None or isinstance(each, int) for each in value)


def _spec(shape: tuple[int | None, ...], dtype: str, name: str) -> InputSpec:
    sizes = tuple(size or (_ASSUMED_SIZE if at else _BATCH) for at, size in enumerate(shape))
    return InputSpec(sizes, dtype, name=name)


def keras_batch(model: nn.Module, inputs: Mapping[str, InputSpec]) -> Batch:
    """How `fit` reads its data: x and y, each as the model has inputs and outputs."""
    keyed = getattr(model, "_inputs_struct", None)
    x = _several(list(inputs), list(keyed) if isinstance(keyed, dict) else [])
    outputs = getattr(model, "outputs", None) or ()
    y = _several([f"y{number}" for number in range(1, len(outputs) + 1)] if len(outputs) > 1 else ["y"], [])
    data = Reading("tuple", (Part(0, "x", x), Part(1, "y", y)))
    return Batch({"data": data}, {})


def _several(names: list[str], keys: list[str]) -> Reading:
    if keys:
        return Reading("mapping", tuple(Part(key, key, WHOLE) for key in keys))
    return Reading("tuple", tuple(Part(at, name, WHOLE) for at, name in enumerate(names))) if len(names) > 1 else WHOLE


class KerasStep(TrainingStep):
    """One step of `fit`: forward, loss, backward, the optimizer and the metrics; the forward alone without a loss."""

    model: nn.Module

    def __call__(self, **data: Any) -> object:
        """Run the step on `data`, which is (x, y)."""
        model: Any = self.model
        if torch.is_grad_enabled() and getattr(model, "optimizer", None) is not None:
            return self.function(**data)
        x, y = data["data"]
        output = model(x, training=torch.is_grad_enabled())
        return model.compute_loss(x=x, y=y, y_pred=output) if torch.is_grad_enabled() else output


def has_loss(model: nn.Module) -> bool:
    """Whether it was compiled with a loss."""
    return bool(getattr(model, "compiled", False)) and getattr(model, "_compile_loss", None) is not None


def wants_classes(model: nn.Module) -> bool:
    """Whether the compiled loss is of class indices: Keras says "sparse" in its name."""
    loss = getattr(getattr(model, "_compile_loss", None), "_user_loss", None)
    return "sparse" in str(getattr(loss, "name", getattr(loss, "__name__", loss))).lower()
