"""What a model's layers say about its input: the forms each layer takes, in the order the layers are registered."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.parameter import UninitializedParameter

from opscan.solving.forms import Form, form

_Reader = Callable[[Any], list[str]]

_MOST_LAYERS = 64  # distinct forms are few; a model of thousands of layers repeats them


@dataclass(frozen=True, slots=True)
class LayerForm:
    """A form, and the path of the layer that takes it."""

    path: str
    form: Form


def _linear(layer: Any) -> list[str]:
    features = layer.in_features or 64  # a lazy layer has 0
    return [f"2x{features}", f"2xTx{features}", *_images_of(features)]


def _images_of(features: int) -> list[str]:
    """Square images with that many values: a model may flatten its input itself."""
    sides = {channels: math.isqrt(features // channels) for channels in (1, 3)}
    return [f"2x{c}x{side}x{side}" for c, side in sides.items() if side >= 8 and c * side * side == features]


def _normalized(layer: Any) -> list[str]:
    shape = "x".join(map(str, layer.normalized_shape))
    return [f"2xTx{shape}", f"2x{shape}", f"2xSxSx{shape}"]


def _recurrent(layer: Any) -> list[str]:
    return [f"2xTx{layer.input_size}" if layer.batch_first else f"Tx2x{layer.input_size}"]


_READERS: tuple[tuple[type | tuple[type, ...], _Reader], ...] = (
    (nn.Conv1d, lambda layer: [f"2x{layer.in_channels or 3}xL", *(["2xL"] if layer.in_channels == 1 else [])]),
    (nn.Conv2d, lambda layer: [f"2x{layer.in_channels or 3}xSxS"]),
    (nn.Conv3d, lambda layer: [f"2x{layer.in_channels or 3}xDxDxD", f"2x{layer.in_channels or 3}x16xSxS"]),
    (nn.ConvTranspose1d, lambda layer: [f"2x{layer.in_channels or 64}x1", f"2x{layer.in_channels or 64}xL"]),
    (nn.ConvTranspose2d, lambda layer: [f"2x{layer.in_channels or 64}x1x1", f"2x{layer.in_channels or 64}xSxS"]),
    (nn.ConvTranspose3d, lambda layer: [f"2x{layer.in_channels or 64}x1x1x1", f"2x{layer.in_channels or 64}xDxDxD"]),
    (nn.Linear, _linear),
    (nn.Bilinear, lambda layer: [f"2x{layer.in1_features}", f"2x{layer.in2_features}"]),
    (nn.RNNBase, _recurrent),
    (nn.RNNCellBase, lambda layer: [f"2x{layer.input_size}"]),
    (nn.MultiheadAttention, lambda layer: [f"2xTx{size}" for size in (layer.embed_dim, layer.kdim, layer.vdim)]),
    (nn.BatchNorm1d, lambda layer: [f"2x{layer.num_features or 64}", f"2x{layer.num_features or 64}xL"]),
    ((nn.BatchNorm2d, nn.InstanceNorm2d), lambda layer: [f"2x{layer.num_features or 3}xSxS"]),
    ((nn.BatchNorm3d, nn.InstanceNorm3d), lambda layer: [f"2x{layer.num_features or 3}xDxDxD"]),
    (nn.InstanceNorm1d, lambda layer: [f"2x{layer.num_features or 3}xL"]),
    (nn.GroupNorm, lambda layer: [f"2x{layer.num_channels}xSxS", f"2x{layer.num_channels}xL"]),
    (nn.LayerNorm, _normalized),
)


_OPERAND = re.compile(r"\(([^)]*)\)|(\w+|\.\.\.)")


def _rearranged(layer: Any) -> list[str]:
    """What einops' pattern of a layer takes apart: `b c (h p1) (w p2) -> ...` has the sides of an image."""
    left = str(layer.pattern).partition("->")[0]
    axes = [match[1] or match[2] for match in _OPERAND.finditer(left)]
    if len(axes) < 3 or "..." in axes:
        return []
    composite = sum(" " in axis for axis in axes)
    letter = {1: "L", 2: "S", 3: "S"}.get(composite, "D")
    return ["2x" + "x".join([_side(axis, layer.axes_lengths, letter) for axis in axes[1:]])] if composite else []


def _side(axis: str, known: dict[str, int], letter: str) -> str:
    """The size of one axis: its own where it is known, a letter for one that is cut up, a few channels otherwise."""
    if " " in axis:
        return "D" if axis[:1] in "fdt" and letter == "S" else letter
    return str(known.get(axis, 3))


def layer_forms(layer: nn.Module) -> tuple[Form, ...]:
    """The forms one layer takes, the likeliest first; none for a container and a layer that takes any shape."""
    if isinstance(layer, nn.Embedding):
        return form("2xT", "int64", layer.num_embeddings), form("2", "int64", layer.num_embeddings)
    if isinstance(layer, nn.EmbeddingBag):
        return form("2xT", "int64", layer.num_embeddings), form("T", "int64", layer.num_embeddings)
    if hasattr(layer, "pattern") and hasattr(layer, "axes_lengths"):
        return tuple(map(form, _rearranged(layer)))
    reader = next((reader for kinds, reader in _READERS if isinstance(layer, kinds)), _parameter_shapes)
    return tuple(form(shape) for shape in dict.fromkeys(reader(layer)))


def _parameter_shapes(layer: nn.Module) -> list[str]:
    """What the parameters of a module of the user's own suggest: a weight's last dimension is often the input's."""
    if type(layer).__module__.startswith("torch.nn"):
        return []
    ready = [weight for weight in layer._parameters.values() if weight is not None and not _is_lazy(weight)]
    return [shape for weight in ready for shape in _shapes_for_weight(tuple(weight.shape))]


def _is_lazy(weight: nn.Parameter) -> bool:
    return isinstance(weight, UninitializedParameter)


def _shapes_for_weight(shape: tuple[int, ...]) -> list[str]:
    match shape:
        case (features,):
            return [f"2x{features}", f"2xTx{features}", f"2x{features}xSxS"]
        case (one, other):
            return [f"2x{other}", f"2xTx{other}", f"2x{one}", f"2xTx{one}"]
        case (1, steps, features):
            return [f"2x{steps}x{features}", f"2xTx{features}"]
        case (_, channels, *kernel) if 1 <= len(kernel) <= 3:
            return [f"2x{channels}x" + "x".join([" LSD"[len(kernel)]] * len(kernel))]
    return []


def model_forms(model: nn.Module) -> tuple[LayerForm, ...]:
    """The distinct forms of the model's layers, in the order the layers are registered."""
    sequences = [module for module in model.modules() if isinstance(module, (nn.RNNBase, nn.MultiheadAttention))]
    steps_first = any(not module.batch_first for module in sequences)
    found: dict[Form, LayerForm] = {}
    for path, layer in _leaves(model, ""):
        # Where attention or recurrence follows, a 2-D input would run too, but as one sequence without a batch.
        forms = sorted(layer_forms(layer), key=lambda form: bool(sequences) and "T" not in form.dims)
        if steps_first and isinstance(layer, nn.Embedding):
            forms.insert(1, form("Tx2", "int64", layer.num_embeddings))
        for each in forms:
            found.setdefault(each, LayerForm(path, each))
        if len(found) >= _MOST_LAYERS:
            break
    return tuple(found.values())


def starts_with_linear(model: nn.Module) -> bool:
    """Whether the first layer is a Linear and none works on sequences: the input is then (batch, features)."""
    sequences = (nn.RNNBase, nn.MultiheadAttention, nn.modules.conv._ConvNd)
    if any(isinstance(module, sequences) for module in model.modules()):
        return False
    first = next((layer for _, layer in _leaves(model, "") if layer_forms(layer)), None)
    return isinstance(first, nn.Linear)


def _leaves(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """Every module some form is known for; a container's own parameters (a class token) come after its children."""
    if not isinstance(module, nn.MultiheadAttention):
        for name, child in module.named_children():
            yield from _leaves(child, f"{path}.{name}" if path else name)
    yield path, module
