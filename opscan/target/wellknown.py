"""Values for constructor parameters that go by well-known names.

The values fit each other (64 is a multiple of 4 heads of 16, 224 of patches of 16), and are small.
A name is looked up without case and underscores: `num_classes`, `numClasses` and `NUM_CLASSES` are one.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Collection, Iterable, Sequence

UNKNOWN = inspect.Parameter.empty
"""What `well_known` returns for a name it does not know (None and False are values)."""

_LIST_LENGTH = 4  # depths, heads and widths given per stage agree in length; four stages are the usual number

_IMAGE_SIZE = 224

_NAMES: tuple[tuple[object, str], ...] = (
    (
        10,
        """
        num_classes n_classes nclass num_class nb_classes nb_class classes class_num class_count num_labels
        n_labels num_outputs n_outputs n_output n_out out_classes output_classes num_targets num_categories
        output_dim out_dim output_size out_size dim_out d_out out_features output_features tagset_size
        """,
    ),
    (
        3,
        """
        in_channels in_chans in_ch in_c input_channels in_channel input_channel n_channels num_channels nc
        c_in img_channels image_channels channels_in num_input_channels n_input_channels input_nc in_nc
        channels_img chans output_nc out_nc kernel_size kernel ks ksize k
        """,
    ),
    (
        16,
        """
        out_channels out_ch out_chans out_c output_channels out_channel c_out channels_out patch_size patch
        head_dim dim_head d_head head_size d_k d_v dim_per_head
        num_timesteps n_timesteps frames num_frames n_frames
        """,
    ),
    (
        64,
        """
        in_features input_dim in_dim input_size in_size n_in num_features n_features features dim_in d_in
        n_inputs num_inputs n_input feature_dim feat_dim feature_size input_features nfeat input_width
        hidden_dim hidden_size hidden n_hidden nhid hidden_units hidden_channels hid_dim hid_size
        hidden_features num_hidden num_hiddens n_hiddens h_dim dim_hidden hidden_dims hidden_sizes layer_sizes
        lstm_hidden d_model dim embed_dim embedding_dim emb_dim embed_size emb_size n_embd model_dim n_embed
        ninp embedding_size d_embed dim_model width units latent_dim z_dim nz noise_dim z_size latent_size
        latent code_dim bottleneck_dim channels channel planes inplanes inp oup i o filters num_filters n_filters nf ngf
        ndf base_channels base_width ch c dims widths feature_maps features_g features_d embedding_dims
        encoder_dim decoder_dim attention_dim attn_dim query_dim context_dim key_dim value_dim projection_dim
        proj_dim time_dim time_emb_dim cond_dim embed_dims
        """,
    ),
    (
        128,
        """
        mlp_dim d_ff dim_feedforward ffn_dim ff_dim intermediate_size ffn_hidden d_hid inner_dim dim_ff
        d_inner max_len max_length seq_len seq_length block_size context_length max_seq_len max_seq_length
        context_size n_ctx max_position_embeddings n_positions sequence_length max_sequence_length src_len
        tgt_len max_positions
        """,
    ),
    (
        4,
        """
        num_heads n_heads heads nhead num_attention_heads attention_heads num_head h reduction reduction_ratio
        expansion ratio num_experts n_experts num_actions n_actions action_dim action_size act_dim
        """,
    ),
    (
        1000,
        """
        vocab_size n_vocab num_embeddings vocab ntoken ntokens num_tokens num_words vocabulary_size n_words
        src_vocab_size tgt_vocab_size trg_vocab_size src_vocab tgt_vocab input_vocab_size target_vocab_size
        voc_size input_vocab output_vocab vocab_len len_vocab num_users num_items n_users n_items num_entities
        """,
    ),
    (512, "codebook_size"),
    (
        2,
        """
        num_layers n_layers depth n_layer num_layer num_blocks n_blocks num_hidden_layers n_hidden_layers
        num_encoder_layers num_decoder_layers encoder_layers decoder_layers layers depths num_stages
        n_res_blocks num_res_blocks n_residual_blocks num_residual_blocks top_k batch_size upscale_factor
        scale_factor strides upsample_kernel_size up_kernel_size upsample_kernel_sizes
        spatial_dims spatial_dim n_dims n_dim num_dims num_spatial_dims dimensions dimension
        """,
    ),
    (_IMAGE_SIZE, "image_size img_size input_resolution resolution img_dim"),
    (1, "stride padding dilation groups num_directions"),
    (8, "state_dim obs_dim state_size obs_size observation_dim n_observations num_groups n_state rank"),
    (9, "num_anchors"),
    (32, "growth_rate"),
    (
        0.1,
        """
        dropout drop_rate p dropout_p dropout_rate drop_prob dropout_prob attn_dropout drop
        hidden_dropout_prob attention_dropout emb_dropout attn_drop drop_path_rate p_drop dropout_ratio alpha
        """,
    ),
    (0.001, "lr learning_rate"),
    (0.0, "weight_decay label_smoothing"),
    (0.9, "momentum"),
    (0.5, "beta"),
    (1e-05, "eps epsilon"),
    (1.0, "temperature tau scale gamma"),
    ((3, 32, 32), "img_shape image_shape input_shape in_shape"),
    (0, "seed random_seed"),
    (0, "padding_idx pad_idx pad_token_id src_pad_idx trg_pad_idx tgt_pad_idx pad_id pad_index ignore_index"),
    (True, "bias use_bias batch_first bilinear affine"),
    (False, "bidirectional pretrained verbose debug deterministic"),
    ("relu", "activation act nonlinearity act_fn activation_fn"),
    ("cpu", "device"),
)

_HINTS: tuple[tuple[type, object, str], ...] = (
    (bool, False, "use with is has enable add return"),
    (float, 0.1, "drop dropout prob probability rate"),
    (float, 1.0, "scale weight temperature gain coef coefficient alpha beta lambda"),
    (float, 1e-5, "eps epsilon"),
    (int, 10, "classes labels"),
    (int, 2, "layers blocks depth levels stages"),
    (int, 4, "heads"),
    (int, 3, "kernel"),
    (int, 32, "len length"),
    (int, 64, "channels channel chans ch planes filters dim dims size sizes features feature units width hidden"),
    (int, 4, "num n number count"),
)

_PLURALS = {"depths", "dims", "widths", "featuremaps"}
_PLURAL = re.compile(r"(?!(num|n|nb|spatial)_)\w+_(sizes|dims|widths)")
_SCALARS = (int, float, bool, str, "int", "float", "bool", "str")  # as text where the annotation does not resolve

_VALUES = {name.replace("_", ""): value for value, names in _NAMES for name in names.split()}


def well_known(name: str, annotation: object = UNKNOWN) -> object:
    """The value for a constructor parameter of this name, or UNKNOWN.

    A sequence annotation gets the value repeated, and so does a plural (`hidden_sizes`) unless its annotation is a
    number. A name that is not in the table gets a value only if it is such a plural, or if the annotation is int, float
    or bool and one of the name's words hints at what it counts (`mid_channels: int`).
    """
    kind = _without_none(annotation)
    key = name.replace("_", "").lower()
    plural = kind not in _SCALARS and (key in _PLURALS or _PLURAL.fullmatch(name.lower()) is not None)
    value = _VALUES.get(key, UNKNOWN)
    if value is UNKNOWN:
        value = _hinted(name, int if plural and kind is UNKNOWN else _element(kind))
    return value if value is UNKNOWN else _shaped(value, list if plural and not _is_sequence(kind) else kind)


def _hinted(name: str, kind: object) -> object:
    words = set(re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower().split("_"))
    values = (value for type_, value, hints in _HINTS if type_ is kind and words & set(hints.split()))
    return next(values, UNKNOWN)


def _without_none(annotation: object) -> object:
    """`int | None` and `Optional[int]` count as `int`."""
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return annotation
    kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    return kinds[0]


def _is_sequence(kind: object) -> bool:
    origin = typing.get_origin(kind) or kind
    if origin in (Iterable, Collection):
        return True
    return isinstance(origin, type) and issubclass(origin, Sequence) and origin is not str


def _element(kind: object) -> object:
    """What a sequence annotation holds, whole numbers if it does not say; any other annotation itself."""
    return next(iter(typing.get_args(kind)), int) if _is_sequence(kind) else kind


def _shaped(value: object, kind: object) -> object:
    """The value as its annotation wants it: repeated for a sequence, a float for float."""
    if isinstance(value, tuple):
        return list(value) if (typing.get_origin(kind) or kind) is list else value
    if not _is_sequence(kind):
        return float(value) if kind is float and isinstance(value, int) else value
    parts = typing.get_args(kind)
    if typing.get_origin(kind) is tuple and Ellipsis not in parts and parts:
        return (value,) * len(parts)
    length = 2 if value == _IMAGE_SIZE else _LIST_LENGTH
    return (value,) * length if typing.get_origin(kind) is tuple or kind is tuple else [value] * length
