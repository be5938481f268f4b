"""What a training step's target may be, judging from the model's output and its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from opscan.steps.found import Found
from opscan.target.inputs import InputSpec


def target_choices(output: object, values: Mapping[str, Found], classes_first: bool) -> list[InputSpec]:
    """What a target may be, judging from the output and the inputs, the likeliest first."""
    main = _main_tensor(output)
    first = next((each.value for each in values.values() if isinstance(each.value, torch.Tensor)), None)
    of_inputs = [_like(first)] if first is not None else []
    if main is None or not main.ndim:
        batch = first.shape[0] if first is not None and first.ndim else 2
        return [InputSpec((batch,), "int64", 2), InputSpec((batch,)), *of_inputs]
    shape = tuple(main.shape)
    classes = [InputSpec((shape[0], *shape[2:]), "int64", shape[1])] if len(shape) > 1 and shape[1] > 1 else []
    tokens = [InputSpec(shape[:-1], "int64", shape[-1])] if len(shape) > 2 and shape[-1] > 1 else []
    same = [InputSpec(shape)]
    integers, others = [*classes, *tokens], [*same, InputSpec(shape[:1]), InputSpec((*shape[:1], 1))]
    last = [*of_inputs, InputSpec(shape[:1], "int64", 2), InputSpec(shape, "int64", 2)]
    ordered = [*integers, *others, *last] if classes_first else [*same, *integers, *others, *last]
    return list(dict.fromkeys(ordered))


def _main_tensor(output: object) -> torch.Tensor | None:
    """The logits of an output, or the first floating tensor in it."""
    if isinstance(output, torch.Tensor):
        return output
    logits = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(logits, torch.Tensor):
        return logits
    inside: Sequence[object] = list(output.values()) if isinstance(output, Mapping) else ()
    inside = list(output) if isinstance(output, list | tuple) else inside
    return next((found for each in inside if (found := _main_tensor(each)) is not None), None)


def _like(tensor: torch.Tensor) -> InputSpec:
    dtype = str(tensor.dtype).removeprefix("torch.")
    bound = int(tensor.max()) + 1 if tensor.numel() and not tensor.is_meta and dtype != "bool" else None
    return InputSpec(tuple(tensor.shape), dtype, bound if bound is None or bound > 0 else None)
