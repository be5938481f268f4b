"""What the name of a forward's parameter says about the tensor it takes."""

from __future__ import annotations

import re
from dataclasses import replace

from opscan.solving.forms import Form, form
from opscan.solving.hints import Hints
from opscan.solving.layers import LayerForm

_NO_HINTS = Hints()
_EDGES = 16
_NODE_WIDTHS = ("in_channels", "in_features", "in_dim", "in_feats", "num_features", "num_node_features", "input_dim")

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
_MASKS_OF_IMAGES = (form("2xSxS", "int64", 2), form("2x1xSxS"), form("2xSxS"))
_LABELS = (form("2", "int64", 2), form("2xT", "int64", 2), form("2x1"), form("2xSxS", "int64", 2))

_BY_NAME: tuple[tuple[str, tuple[Form, ...]], ...] = (
    ("attention_mask", (form("2xT", "int64", 2), *_MASKS)),
    ("src_mask tgt_mask trg_mask attn_mask", (form("TxT", "bool"), *_MASKS)),
    ("mask masks", _MASKS),
    ("input_values waveform wav", (form("2xL"), form("2x16000"))),
    ("label labels target targets cls", _LABELS),
    ("offsets", (form("2", "int64", 2),)),
    ("edge_index", (form(f"2x{_EDGES}", "int64", 2),)),
    ("adj adjacency", (form("2x2"), form("2xTxT"))),
    ("t time timestep timesteps step sigma noise_level", (form("2", "int64", 10), form("2"), form("2x1"))),
    (
        "length lengths len lens seqlen seqlens",
        (form("2", "int64", value="T"), form("2", "int64", value="L"), form("2", "int64", value=1)),
    ),
    ("batch_idx batch_index optimizer_idx dataloader_idx", (form("scalar", "int64", value=0),)),
)
"""Names whose tensor no layer describes; the whole name counts before its last word."""

_IDS = {
    *("id", "ids", "idx", "index", "indices", "token", "tokens", "word", "words", "text", "texts"),
    *("user", "users", "item", "items", "caption", "captions"),
}
_IMAGES = {"image", "images", "img", "imgs", "pixel", "pixels", "picture", "pictures", "photo"}
_FLOATS = {
    *(*_IMAGES, "frame", "frames", "video"),
    *("noise", "latent", "z", "audio", "signal", "wave", "feat", "feats", "feature", "features", "embeds"),
}

GENERIC = (
    *(form("2x3xSxS"), form("2x64"), form("2xTx64"), form("2x1xSxS"), form("2xLx3"), form("2xT", "int64", 2)),
    *(form("2xT"), form("2"), form("2", "int64", 2), form("SxS"), form("2x3xDxDxD"), form("2x8x3xSxS")),
)
"""Forms for a model whose layers say nothing."""


_OF_NODES = (form("2", "int64", 2),)  # `batch` in a graph: which graph each node belongs to


def parameter_forms(name: str, layers: tuple[LayerForm, ...], hints: Hints = _NO_HINTS) -> tuple[Form, ...]:
    """The forms a parameter of this name may have, the likeliest first.

    A layer whose path shares a word with the name (`user_embedding` with `user`) comes before the others, and before
    it a number of the model's that shares one (`latent_dim` with `latent`).
    """
    words = _words(name)
    known = (*layers, *(LayerForm("", form) for form in GENERIC))
    ranked = sorted(known, key=lambda layer: (_wrong_kind(words, layer.form), not words & _words(layer.path)))
    bounds = [layer.form.bound for layer in layers if layer.form.bound and words & _words(layer.path)]
    special = special_forms(name, hints)
    if special is _MASKS and layers and "S" in layers[0].form.dims:
        special = (*_MASKS_OF_IMAGES, *_MASKS)
    bounded = [replace(form, bound=min(bounds)) if form.bound and bounds else form for form in special]
    sized = [form(f"2x{width}") for label, width in hints.widths.items() if words & _words(label) and not words & _IDS]
    if hints.is_graph and name == "x":
        sized = [form(f"2x{width}") for label, width in hints.widths.items() if label in _NODE_WIDTHS]
    if hints.is_graph and "edge" in words and name != "edge_index":
        return tuple(dict.fromkeys((*_of_edges(name.lower().rpartition("_")[2], hints), *special)))
    images = hints.images if words & _IMAGES or (name == "x" and _in_patches(layers)) else ()
    return tuple(dict.fromkeys((*images, *bounded, *sized, *(layer.form for layer in ranked))))


def _of_edges(last_word: str, hints: Hints) -> tuple[Form, ...]:
    """What belongs to each edge of a graph: a weight, the number of its type, or features."""
    widths = {width: _words(label) for label, width in hints.widths.items()}
    types = next((width for width, words in widths.items() if words & {"relation", "type"}), 2)
    features = [form(f"{_EDGES}x{width}") for width, words in widths.items() if "edge" in words]
    of_type, weight = form(f"{_EDGES}", "int64", types), form(f"{_EDGES}")
    first = of_type if last_word in ("type", "types") else weight if last_word.startswith("weight") else None
    others = (weight, form(f"{_EDGES}x1"), *(form(f"{_EDGES}x{width}") for width in widths), of_type)
    return (*([first] if first else []), *features, *others)


def special_forms(name: str, hints: Hints = _NO_HINTS) -> tuple[Form, ...]:
    """The forms of a parameter that no layer describes, such as a mask; none for any other."""
    lowered = name.lower()
    if lowered == "batch" and hints.is_graph:
        return _OF_NODES
    exact = [forms for names, forms in _BY_NAME if lowered in names.split()]
    ending = [forms for names, forms in _BY_NAME if lowered.rpartition("_")[2] in names.split()]
    return next(iter(exact + ending), ())


def _in_patches(layers: tuple[LayerForm, ...]) -> bool:
    """Whether the input is cut into patches first: a layer that stands first says so by its name."""
    return any("patch" in layer.path for layer in layers[:4])


def _wrong_kind(words: set[str], form: Form) -> bool:
    """Whether the name speaks of the other kind of tensor: integers or floats."""
    if words & _IDS:
        return form.dtype != "int64"
    return bool(words & _FLOATS) and form.dtype == "int64"


def _words(name: str) -> set[str]:
    """The words of a name or module path, with and without a plural s; short ones say nothing."""
    words = [word for word in re.split(r"[\W\d_]+", name.lower()) if len(word) > 1 or word == "z"]
    return {*words, *(word.rstrip("s") for word in words)}
