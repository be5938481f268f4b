"""What the name of a forward's parameter says about the tensor it takes."""

from __future__ import annotations

import re
from dataclasses import replace

from opscan.target.forms import Form, form
from opscan.target.layers import LayerForm

_MASKS = (
    form("2xT", "bool"),
    form("2xT"),
    form("2xT", "int64", 2),
    form("2x1x1xT", "bool"),
    form("TxT", "bool"),
    form("TxT"),
    form("2xTxT", "bool"),
    form("2x1xSxS"),
)
_LABELS = (form("2", "int64", 2), form("2xT", "int64", 2), form("2x1"))

_BY_NAME: tuple[tuple[str, tuple[Form, ...]], ...] = (
    ("attention_mask", (form("2xT", "int64", 2), *_MASKS)),
    ("mask masks", _MASKS),
    ("label labels target targets cls", _LABELS),
    ("offsets", (form("2", "int64", 2),)),
    ("edge_index", (form("2x16", "int64", 2),)),
    ("adj adjacency", (form("2x2"), form("2xTxT"))),
    ("t time timestep timesteps step sigma noise_level", (form("2", "int64", 10), form("2"), form("2x1"))),
    ("length lengths lens", (form("2", "int64", 2),)),
)
"""Names whose tensor no layer describes; the whole name counts before its last word."""

_IDS = {
    *("id", "ids", "idx", "index", "indices", "token", "tokens", "word", "words", "text", "texts"),
    *("user", "users", "item", "items", "caption", "captions"),
}
_FLOATS = {
    *("image", "images", "img", "imgs", "pixel", "pixels", "frame", "frames", "video"),
    *("noise", "latent", "z", "audio", "signal", "wave", "feat", "feats", "feature", "features", "embeds"),
}

GENERIC = (
    *(form("2x3xSxS"), form("2x64"), form("2xTx64"), form("2x1xSxS"), form("2xLx3"), form("2xT", "int64", 2)),
    *(form("2xT"), form("2"), form("2", "int64", 2), form("SxS"), form("2x3xDxDxD"), form("2x8x3xSxS")),
)
"""Forms for a model whose layers say nothing."""


def parameter_forms(name: str, layers: tuple[LayerForm, ...]) -> tuple[Form, ...]:
    """The forms a parameter of this name may have, the likeliest first.

    A layer whose path shares a word with the name (`user_embedding` with `user`) comes before the others.
    """
    words = _words(name)
    known = (*layers, *(LayerForm("", form) for form in GENERIC))
    ranked = sorted(known, key=lambda layer: (_wrong_kind(words, layer.form), not words & _words(layer.path)))
    bounds = [layer.form.bound for layer in layers if layer.form.bound and words & _words(layer.path)]
    special = [replace(form, bound=min(bounds)) if form.bound and bounds else form for form in special_forms(name)]
    return tuple(dict.fromkeys((*special, *(layer.form for layer in ranked))))


def special_forms(name: str) -> tuple[Form, ...]:
    """The forms of a parameter that no layer describes, such as a mask; none for any other."""
    lowered = name.lower()
    exact = [forms for names, forms in _BY_NAME if lowered in names.split()]
    ending = [forms for names, forms in _BY_NAME if lowered.rpartition("_")[2] in names.split()]
    return next(iter(exact + ending), ())


def _wrong_kind(words: set[str], form: Form) -> bool:
    """Whether the name speaks of the other kind of tensor: integers or floats."""
    if words & _IDS:
        return form.dtype != "int64"
    return bool(words & _FLOATS) and form.dtype == "int64"


def _words(name: str) -> set[str]:
    """The words of a name or module path, with and without a plural s; short ones say nothing."""
    words = [word for word in re.split(r"[\W\d_]+", name.lower()) if len(word) > 1 or word == "z"]
    return {*words, *(word.rstrip("s") for word in words)}
