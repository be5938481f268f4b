"""Placeholder tokens: where images or sound take the place of tokens, how many of which kind the text has to hold."""

from __future__ import annotations

import re
from dataclasses import replace

import torch

from opscan.solving.forms import BATCH, Form
from opscan.solving.trials import Trial
from opscan.target.configs import number
from opscan.target.missing import frames_of

_MISMATCH = re.compile(r"(\w+) (?:features|embeddings)? ?and .*tokens? do(?:es)? not match\D*(\d+)\D+(\d+)", re.I)
_TEXT = 16  # tokens of text after those of the image
_WORD = 7  # a token of text: most vocabularies have special ones in front of it


def with_tokens(trial: Trial, error: BaseException) -> list[Trial]:
    """The trial with as many placeholders in its text as the message says there are features."""
    match = _MISMATCH.search(str(error))
    if match is None:
        return []
    kind = match[1].lower()
    token = _token(trial, kind)
    counts = dict.fromkeys((_features(error, kind), int(match[3])))
    return [
        _holding(trial, token, count // trial.hints.batch)
        for count in counts
        if token and count and count % trial.hints.batch == 0
    ]


def kinds_of_tokens(name: str, trial: Trial) -> tuple[Form, ...]:
    """For `token_type_ids` where the text holds placeholders: 1 for these, 0 for text."""
    ids = next((form for slot, form in zip(trial.slots, trial.plan, strict=True) if slot.name == "input_ids"), None)
    if not name.endswith("token_type_ids") or ids is None or not ids.values:
        return ()
    return (replace(ids, values=tuple((int(value != _WORD), times) for value, times in ids.values)),)


def _token(trial: Trial, kind: str) -> int:
    kinds = [kind] if kind in ("image", "video", "audio") else ["image", "audio", "video"]
    names = " ".join(f"{each}_token_id {each}_token_index {each}_pad_token_id {each}_token" for each in kinds)
    return number(trial.hints.configs, names)


def _features(error: BaseException, kind: str) -> int:
    """How many hidden states are to take the tokens' places, by the tensors that were compared; 0 if none are seen."""
    for frame in frames_of(error):
        held = {name: value for name, value in frame.f_locals.items() if isinstance(value, torch.Tensor)}
        text = held.get("inputs_embeds")
        found = [value for name, value in held.items() if name.endswith(("features", "hidden_states")) and kind in name]
        found = found or [value for name, value in held.items() if name.endswith("features")]
        if text is not None and found:
            return found[0].numel() // text.shape[-1]
    return 0


def _holding(trial: Trial, token: int, count: int) -> Trial:
    """With `count` of the tokens in each row of ids, before those that were there."""
    plan = [
        _form_holding(form, token, count) if slot.name == "input_ids" else form
        for slot, form in zip(trial.slots, trial.plan, strict=True)
    ]
    length = next((sum(times for _, times in form.values) for form in plan if form.values), count)
    return trial.replanned(tuple(plan)).resized("T", length)


def _form_holding(form: Form, token: int, count: int) -> Form:
    others = tuple((value, times) for value, times in form.values if value != token) or ((_WORD, _TEXT),)
    return replace(form, dims=(BATCH, "T"), bound=None, values=((token, count), *others))
