"""What is known of the sizes before anything is tried: by the model's numbers, and by the inputs that were given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import nn

from opscan.solving.forms import BATCH, Form
from opscan.solving.layers import LayerForm, model_forms, starts_with_linear
from opscan.solving.modalities import image_size
from opscan.target.build import Target
from opscan.target.configs import Configs, configs_of

_IMAGE_SIZES = ("image_size", "img_size", "input_size")
_CHANNELS = ("num_channels", "in_channels", "in_chans", "channels")
_MOST_MODULES = 32  # a patch embedding, which knows the image's size, stands near the front
_RGB = 3
_LARGE_IMAGE, _IMAGE = 1024, 224  # the largest of any size that a model takes costs a lot, and shows no other ops
_WAVES = {"input_values", "waveform", "raw_speech"}
_SECOND = 16000  # samples


@dataclass(frozen=True, slots=True)
class Hints:
    """`sizes` has the first size to try for an axis, `images` forms of the images a model without convolutions takes.

    `widths` are the whole numbers the model was made with, by name, where one may be the input's number of features.
    `is_graph` says that the other parameters speak of nodes, of which there are `batch`. `names` are all parameters,
    `optional` those that nobody gave and that may be left out, `layers` the forms the model's layers take.
    """

    batch: int = BATCH
    sizes: Mapping[str, int] = field(default_factory=dict)
    images: tuple[Form, ...] = ()
    widths: Mapping[str, int] = field(default_factory=dict)
    is_graph: bool = False
    names: frozenset[str] = frozenset()
    configs: Configs = ()
    optional: tuple[str, ...] = ()
    layers: tuple[LayerForm, ...] = ()


def hints_for(
    target: Target, names: frozenset[str], given: Mapping[str, object], optional: tuple[str, ...] = ()
) -> Hints:
    """The hints for a target whose parameters have these names, `given` those that have a value already."""
    model = target.model
    sources = [] if model is None else list(_sources(target, model))
    configs = configs_of(model)
    channels, *extent = _image(sources) if not configs else image_size(configs)
    channels, *extent = (channels, *extent) if extent else _image(sources)
    sizes = _axes_of_image(extent)
    if "image_sizes" in names and sizes.get("S", 0) > _LARGE_IMAGE:
        sizes = {**sizes, "S": _IMAGE}
    batch, others = _given_sizes(given)
    is_graph = "edge_index" in names
    widths = {} if model is None else _widths(target, model)
    if is_graph and not given:
        batch = widths.get("num_nodes", batch)
    return Hints(
        batch=batch,
        sizes={**sizes, **({"L": _SECOND} if configs and _WAVES & names else {}), **others},
        images=() if model is None else _images(model, channels, extent),
        widths=widths if model is not None and (is_graph or starts_with_linear(model)) else {},
        is_graph=is_graph,
        names=names,
        configs=configs,
        optional=optional,
        layers=() if model is None else model_forms(model),
    )


def _sources(target: Target, model: nn.Module) -> Iterator[Mapping[str, object]]:
    """Where sizes may be written down: constructor arguments, configurations, attributes of the first modules."""
    yield target.arguments
    yield vars(model)
    for config in (getattr(model, "config", None), getattr(getattr(model, "config", None), "vision_config", None)):
        yield _entries(config)
    for module in islice(model.modules(), 1, _MOST_MODULES):
        yield vars(module)
    yield _entries(getattr(model, "default_cfg", None))  # of timm: what it was trained with, unless it says otherwise


def _entries(config: object) -> Mapping[str, object]:
    if isinstance(config, Mapping):
        return {str(name): value for name, value in config.items()}
    return getattr(config, "__dict__", {})


def _image(sources: list[Mapping[str, object]]) -> tuple[int, ...]:
    """The channels (0: not said), and the extent of an image in pixels or voxels (nothing: not said)."""
    channels = next((_number(source.get(name)) for source in sources for name in _CHANNELS if name in source), 0)
    for source in sources:
        for name in _IMAGE_SIZES:
            sizes = _numbers(source.get(name))
            if name == "input_size" and len(sizes) == 3:  # channels first, as in timm
                return sizes
            if len(sizes) > 1 or (sizes and name != "input_size"):  # one input_size is a number of features
                return (channels, *(sizes * 2 if len(sizes) == 1 else sizes))
    return (channels,)


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _numbers(value: object) -> tuple[int, ...]:
    sizes = tuple(map(_number, value if isinstance(value, (list, tuple)) else [value]))
    return sizes if all(sizes) else ()


def _axes_of_image(extent: list[int]) -> dict[str, int]:
    if len(set(extent)) != 1:
        return {}
    return {"S" if len(extent) == 2 else "D": extent[0]}


def _images(model: nn.Module, channels: int, extent: list[int]) -> tuple[Form, ...]:
    """Where no convolution says what the image is: square, or of the size that is written down."""
    convs = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    first = next((module.in_channels for module in model.modules() if isinstance(module, convs)), 0)
    oblong = len(extent) == 2 and extent[0] != extent[1]
    if first and not oblong:
        return ()
    dims: tuple[int | str, ...] = tuple(extent) if oblong else ("S", "S")
    return (Form((BATCH, channels or first or _RGB, *dims)),)


def _widths(target: Target, model: nn.Module) -> dict[str, int]:
    numbers = {**vars(model), **target.arguments}
    return {name: number for name, value in numbers.items() if (number := _number(value)) and name != "training"}


def _given_sizes(given: Mapping[str, object]) -> tuple[int, dict[str, int]]:
    """The batch and the sizes of axes in the inputs that were given; for a graph, its number of nodes."""
    edges = given.get("edge_index")
    tensors = [value for name, value in given.items() if isinstance(value, torch.Tensor) and name != "edge_index"]
    shape = next((tuple(tensor.shape) for tensor in tensors if tensor.ndim), ())
    if shape:
        axes = {2: ("T",), 3: ("T", "L"), 4: ("", "", "S"), 5: ("", "", "", "D")}.get(len(shape), ())
        return shape[0], {axis: size for axis, size in zip(axes, shape[1:], strict=False) if axis}
    if isinstance(edges, torch.Tensor) and edges.numel() and not edges.is_meta:
        return int(edges.max()) + 1, {}
    return BATCH, {}
