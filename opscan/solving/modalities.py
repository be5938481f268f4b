"""What a configuration says of an input: its form, by the parameter's name and the configuration's numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from opscan.solving.forms import BATCH, Form
from opscan.target.configs import Configs, number, numbers

_TEXT, _DECODER, _IMAGE, _SOUND = "text language llm", "decoder text generator", "vision image backbone", "audio speech"
_GRIDS = r"(\w+_)?grid_(thw|hws?)|spatial_shapes|tgt_sizes|pixel_position_ids"
_Maker = Callable[[str, Configs], list[Form]]


def config_forms(name: str, configs: Configs, others: Collection[str] = ()) -> tuple[Form, ...]:
    """The forms the configuration suggests for a parameter of this name beside `others`, the likeliest first."""
    if not configs:
        return ()
    makers = [maker for pattern, maker in _MAKERS if re.fullmatch(pattern, name)]
    forms = [
        form for maker in makers for form in maker(name, configs) if 0 not in form.dims or maker in (_past, _future)
    ]
    if _has_grid(others) and (name == "hidden_states" or _images in makers):
        forms = [*_flat(configs), *forms]
    return tuple(forms)


def _has_grid(names: Collection[str]) -> bool:
    """Whether images come as the patches of all of them in one row, and a grid says which belong to which."""
    return any(re.fullmatch(_GRIDS, name) for name in names)


def image_size(configs: Configs) -> tuple[int, ...]:
    """The channels, height and width of an image; fewer numbers where they are not said."""
    channels = number(configs, "num_channels in_channels in_chans n_channels num_image_channels", _IMAGE, 3)
    size = numbers(configs, "image_size img_size input_size image_height", _IMAGE)
    return (channels, *(size * 2 if len(size) == 1 else size[:2]))


def _ids(name: str, configs: Configs) -> list[Form]:
    near = _DECODER if name.startswith("decoder") else _TEXT
    bound = number(configs, "vocab_size", near) or None
    codebooks = number(configs, "num_codebooks n_codebooks num_audio_codebooks num_vq n_codes_total", _DECODER)
    several: list[tuple[int | str, ...]] = []
    if codebooks:
        several = [(BATCH * codebooks, "T"), (BATCH, codebooks, "T"), (BATCH, "T", codebooks)]
        several += [(BATCH, "T", codebooks + 1), (BATCH, codebooks + 1, "T")]  # and a stream of text
    return [Form(dims, "int64", bound) for dims in ((BATCH, "T"), *several)]


def _other_ids(name: str, configs: Configs) -> list[Form]:
    """`entity_ids` below the configuration's `entity_vocab_size`, `token_type_ids` below `type_vocab_size`."""
    kind = name.removesuffix("_ids").rpartition("_")[0] if name == "token_type_ids" else name.removesuffix("_ids")
    bound = number(configs, f"{kind}_vocab_size {kind.rpartition('_')[2]}_vocab_size")
    if name == "token_type_ids":
        bound = number(configs, "type_vocab_size")
    return [Form((BATCH, "T"), "int64", bound)] if bound else []


def _images(name: str, configs: Configs) -> list[Form]:
    channels, *size = image_size(configs)
    sides: tuple[int | str, ...] = tuple(size) if len(set(size)) == 2 else ("S", "S")
    square = Form((BATCH, channels, *sides))
    pairs = [Form((BATCH, count, channels, *sides)) for count in (1, 2)]
    frames = number(configs, "num_frames n_frames max_num_frames frames_per_clip", _IMAGE)
    clip = Form((BATCH, frames or 4, channels, *sides))
    return [clip, square] if frames or "video" in name else [square, *pairs, *_flat(configs)]


def _flat(configs: Configs) -> list[Form]:
    """Patches of two images, flat or as they were cut out, as models for any resolution take them."""
    patch = number(configs, "patch_size spatial_patch_size", _IMAGE)
    channels = image_size(configs)[0]
    width = channels * patch * patch
    steps = number(configs, "temporal_patch_size", _IMAGE)
    side = _GRID * number(configs, "spatial_merge_size merge_size", _IMAGE, 1)
    rows = BATCH * side * side
    flat = [Form((rows, width * (steps or 1))), Form((BATCH, side * side, width))]
    cut_out = (channels, patch, patch)
    return [*flat, Form((rows, *cut_out)), Form((1, rows, *cut_out))] if patch else []


_SECOND = 16000  # samples
_GRID = 4  # merged patches on each side of an image of no fixed size


def _grid(name: str, configs: Configs) -> list[Form]:
    side = _GRID * number(configs, "spatial_merge_size merge_size", _IMAGE, 1)
    return [Form((BATCH, 3), "int64", values=((1, 1), (side, 2))), Form((BATCH, 2), "int64", value=side)]


def _positions_of_patches(name: str, configs: Configs) -> list[Form]:
    """The column and the row of each patch."""
    side = _GRID * number(configs, "spatial_merge_size merge_size pooling_kernel_size", _IMAGE, 1)
    return [Form((BATCH, side * side, 2), "int64", side)]


def _masks_of_features(name: str, configs: Configs) -> list[Form]:
    return [Form((BATCH, "L"), "int64", value=1), Form((BATCH, "L"), "bool")]


def _masks_of_images(name: str, configs: Configs) -> list[Form]:
    """Which images each token sees."""
    return [Form((BATCH, "T", count), "int64", value=1) for count in (1, 2)]


def _image_sizes(name: str, configs: Configs) -> list[Form]:
    return [Form((BATCH, 2), "int64", value="S")]


def _pixel_mask(name: str, configs: Configs) -> list[Form]:
    return [Form((BATCH, "S", "S"), "int64", value=1)]


def _features(name: str, configs: Configs) -> list[Form]:
    """Spectrograms: bands first where the number of steps is fixed, else steps first."""
    bands = number(configs, "num_mel_bins n_mels mel_bins feature_size input_feat_per_channel num_mel_features", _SOUND)
    others = "feature_projection_input_dim input_feature_size feat_dim input_dim input_size"
    bands = bands or number(configs, others, _SOUND)
    fixed = number(configs, "max_source_positions", _SOUND)
    steps = number(configs, "max_length spec_size", _SOUND)
    bands_first = [Form((BATCH, bands, 2 * fixed))] if fixed else []
    sized = [Form((BATCH, steps, bands))] if steps else []
    return [*bands_first, *sized, Form((BATCH, "L", bands)), Form((BATCH, bands, "L")), Form((BATCH, 1, "L", bands))]


def _samples(name: str, configs: Configs) -> list[Form]:
    """Waves, one second of them; a spectrogram where its length is said."""
    channels = number(configs, "audio_channels num_audio_channels", _SOUND)
    waves = [Form((BATCH, channels, _SECOND)), Form((BATCH, _SECOND)), Form((BATCH, 1, _SECOND))]
    spectra = _features(name, configs) if number(configs, "num_mel_bins", _SOUND) else []
    return [*spectra, *waves] if spectra and number(configs, "max_length", _SOUND) else [*waves, *spectra]


def _past(name: str, configs: Configs) -> list[Form]:
    """Values of a time series: as many steps as the context has, and the longest lag."""
    lags = max(numbers(configs, "lags_sequence"), default=0)
    return _series(name, configs, number(configs, "context_length") + lags)


def _future(name: str, configs: Configs) -> list[Form]:
    return _series(name, configs, number(configs, "prediction_length"))


def _series(name: str, configs: Configs, steps: int) -> list[Form]:
    if "time_features" in name:
        return [Form((BATCH, steps, number(configs, "num_time_features")))]  # often there are none
    several = number(configs, "num_input_channels input_size", default=1)
    flat, wide = Form((BATCH, steps)), Form((BATCH, steps, several))
    return [wide, flat] if several > 1 or number(configs, "num_input_channels") else [flat, wide]


def _static(name: str, configs: Configs) -> list[Form]:
    if "categorical" in name:
        return [Form((BATCH, number(configs, "num_static_categorical_features", default=1)), "int64", 1)]
    return [Form((BATCH, number(configs, "num_static_real_features", default=1)))]


def _boxes(name: str, configs: Configs) -> list[Form]:
    return [Form((BATCH, "T", 4), "int64", values=((1, 2), (2, 2)))]


def _embeds(name: str, configs: Configs) -> list[Form]:
    """Hidden states, as wide as the part of the model that is named; else as any number that shares a word."""
    words = [word for word in name.split("_") if word not in ("embeds", "states", "hidden", "inputs", "pos", "feats")]
    kind = words[0] if words else "text"
    named = f"{name}_dim {kind}_feat_dim {kind}_embedding_dim {kind}_hidden_size {kind}_dim {kind}_embed_dim"
    named = f"{name.rstrip('s')}_dim {named}" if "pos" in name.split("_") else named
    widths = [number(configs, named), number(configs, "hidden_size d_model n_embd dim embed_dim", kind)]
    widths += [number(configs, "cross_attention_hidden_size encoder_hidden_size hidden_size", "text qformer decoder")]
    return [Form((BATCH, "T", width)) for width in dict.fromkeys(widths)]


def _patches(name: str, configs: Configs) -> list[Form]:
    """One mask for each patch of an image, or each tube of a clip."""
    patch = number(configs, "patch_size", _IMAGE)
    size = image_size(configs)[1:]
    if not patch or not size:
        return []
    count = (size[0] // patch) * (size[-1] // patch)
    frames, tube = number(configs, "num_frames", _IMAGE), number(configs, "tubelet_size", _IMAGE, 1)
    counts = [count * (frames // tube), count] if frames else [count]
    return [Form((BATCH, each), "bool") for each in counts]


def _ones(name: str, configs: Configs) -> list[Form]:
    return [Form((BATCH, "T"), "int64", value=1)]


def _flag(name: str, configs: Configs) -> list[Form]:
    return [Form((), "bool")]


_MAKERS: tuple[tuple[str, _Maker], ...] = (
    (r"input_ids|decoder_input_ids|(text_)?(input_)?tokens|(\w+_)?input_ids(_\w+)?", _ids),
    (r"(?!input|decoder_input)\w+_ids", _other_ids),
    (r"(\w+_)?pixel_values(_\w+)?|images?|videos?", _images),
    (r"pixel_position_ids", _positions_of_patches),
    (rf"(?!pixel_position_ids){_GRIDS}", _grid),
    (r"(input_features|audio|speech)_(attention_)?mask", _masks_of_features),
    (r"image_attention_mask", _masks_of_images),
    (r"image_sizes|original_sizes|target_sizes", _image_sizes),
    (r"pixel_mask", _pixel_mask),
    (r"(audio_|speech_)?(input_features|features)|(audio|speech)_values", _features),
    (r"input_values|audio_values|waveforms?|raw_speech", _samples),
    (r"past_\w+", _past),
    (r"future_\w+", _future),
    (r"static_\w+", _static),
    (r"bbox|boxes", _boxes),
    (r"\w*(embeds|hidden_states?|visual_feats|visual_pos|encodings?)", _embeds),
    (r"bool_masked_pos", _patches),
    (r"(\w+_)?attention_mask", _ones),
    (r"return_loss", _flag),
)
