"""Labels for a model that computes its own loss from them: which parameters they are, and what fits its output.

A model of transformers returns a `loss` when it is called with `labels`, or with start and end positions; the shape
and the bound of labels follow from the logits it returns without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import torch

from opscan.solving.forms import BATCH, Form
from opscan.solving.trials import Trial, all_forms

_LABELS = re.compile(r"(?!input_)(\w+_)?(labels?|targets?)|(start|end)_positions|return_loss|future_values")
_MOST_FORMS = 5
_CTC_LENGTH = 4  # no longer than what a short signal is cut down to


def has_loss(output: object) -> bool:
    """Whether the output carries a `loss` that needs a gradient."""
    loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    return isinstance(loss, torch.Tensor) and loss.requires_grad


def may_have_loss(output: object) -> bool:
    """Whether it is an output with names, one of which could be a loss."""
    return isinstance(output, Mapping) or hasattr(output, "loss")


def label_names(optional: Mapping[str, object]) -> tuple[str, ...]:
    """Those of the optional parameters, with their annotations, that are labels, if a tensor can be given for them."""
    named = [name for name in optional if _LABELS.fullmatch(name)]
    return tuple(name for name in named if not re.search(r"list\[dict", str(optional[name]), re.I))


def labelled(trial: Trial, output: object, names: tuple[str, ...]) -> Iterator[Trial]:
    """The trial with labels, the likeliest first: the main one alone, then all that there are, in several forms."""
    main = _main(names)
    forms = {name: found[:_MOST_FORMS] for name in names if (found := _forms(name, trial, output))}
    for n in range(max(map(len, forms.values()), default=0)):
        nth = {name: found[min(n, len(found) - 1)] for name, found in forms.items()}
        yield _with(trial, {name: form for name, form in nth.items() if name in main})
        if n == 0 and len(main) < len(nth):
            yield _with(trial, nth)


def _main(names: tuple[str, ...]) -> tuple[str, ...]:
    for group in (("labels",), ("start_positions", "end_positions"), ("return_loss",)):
        if {*group} <= {*names}:
            return group
    return names


def _with(trial: Trial, forms: Mapping[str, Form]) -> Trial:
    for name, form in forms.items():
        trial = trial.extended(name, form)
    return trial


def _forms(name: str, trial: Trial, output: object) -> list[Form]:
    """The forms of one label, from the logits that go with it."""
    if name in ("start_positions", "end_positions"):
        return [Form((BATCH,), "int64", dict(trial.sizes).get("T", 2))]
    if name == "return_loss":
        return [Form((), "bool")]
    known = list(all_forms(name, trial.hints))
    logits = _logits(name, output)
    if logits is None:
        return known
    return list(dict.fromkeys([*_fitting(tuple(logits.shape), trial), *known[:1]]))


def _logits(name: str, output: object) -> torch.Tensor | None:
    """The output that speaks of the label by its name, or the one called logits, or the first one."""
    if not isinstance(output, Mapping):
        return getattr(output, "logits", None)
    tensors = {key: value for key, value in output.items() if isinstance(value, torch.Tensor) and value.ndim}
    words = {*name.split("_")} - {"labels", "label"}
    order = [key for key in tensors if "logits" in key and words & {*key.split("_")}]
    if words and not order:  # a label of the whole
        order = [key for key, value in tensors.items() if value.ndim == 2]
    order += [key for key in ("logits", "prediction_logits", "last_hidden_state") if key in tensors]
    order += list(tensors)
    return tensors[order[0]] if order else None


def _fitting(shape: tuple[int, ...], trial: Trial) -> list[Form]:
    """Classes for the last dimension, or for the second one of a picture; or the values themselves."""
    match shape:
        case (_, 1):
            return [Form((BATCH,)), Form((BATCH, 1)), Form((BATCH,), "int64", 1)]
        case (_, count):
            return [Form((BATCH,), "int64", count), Form((BATCH, count)), Form((BATCH, 1), "int64", count)]
        case (_, steps, 1):
            return [Form((BATCH, steps)), Form((BATCH, steps, 1)), Form((BATCH, steps), "int64", 1)]
        case (_, steps, count):
            tokens, few = Form((BATCH, steps), "int64", count), Form((BATCH, _CTC_LENGTH), "int64", count)
            return [tokens, few, Form((BATCH, steps, count)), Form((BATCH, steps)), Form((BATCH,), "int64", count)]
        case (_, count, height, width):
            sides = _sides(trial) or (height, width)
            return [Form((BATCH, *sides), "int64", count), Form((BATCH, *sides)), Form((BATCH, 3, *sides))]
    return [Form((BATCH, *shape[1:]))]


def _sides(trial: Trial) -> tuple[int, ...]:
    """The height and width of the images that were found."""
    return next((spec.shape[-2:] for spec in trial.specs if len(spec.shape) in (4, 5)), ())
