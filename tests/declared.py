"""Ops of packages that are not installed here, declared with their own schemas; they return tensors like their first.

For the cases of `rules/packages.toml`. A package that is imported first keeps its ops.
"""

from __future__ import annotations

from typing import Any

import torch

_ROIS = "Tensor grad, Tensor rois, {}float spatial_scale, SymInt pooled_height, SymInt pooled_width, {}"
_SIZES = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"
_FLASH = "Tensor dout, Tensor q, Tensor k, Tensor v, Tensor out, Tensor softmax_lse"

SCHEMAS = [
    "torchvision::_roi_align_backward(" + _ROIS.format("", _SIZES) + ", int sampling_ratio, bool aligned) -> Tensor",
    "torchvision::_roi_pool_backward(" + _ROIS.format("Tensor argmax, ", _SIZES) + ") -> Tensor",
    "torchvision::_ps_roi_align_backward("
    + _ROIS.format("Tensor channel_mapping, ", "int sampling_ratio, " + _SIZES)
    + ") -> Tensor",
    "torchvision::_ps_roi_pool_backward(" + _ROIS.format("Tensor channel_mapping, ", _SIZES) + ") -> Tensor",
    "torchvision::_deform_conv2d_backward(Tensor grad, Tensor input, Tensor weight, Tensor offset, Tensor mask, "
    "Tensor bias, SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, "
    "SymInt groups, SymInt offset_groups, bool use_mask) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    f"flash_attn::_flash_attn_backward({_FLASH}, Tensor(a!)? dq, Tensor(b!)? dk, Tensor(c!)? dv, float dropout_p, "
    "float softmax_scale, bool causal, SymInt window_size_left, SymInt window_size_right, float softcap, "
    "Tensor? alibi_slopes, bool deterministic, Tensor? rng_state=None) -> Tensor",
    f"flash_attn_3::bwd({_FLASH}, Tensor(a!)? dq=None, Tensor(b!)? dk=None, Tensor(c!)? dv=None, "
    "Tensor? cu_seqlens_q=None, Tensor? cu_seqlens_k=None, Tensor? seqused_q=None, Tensor? seqused_k=None, "
    "int? max_seqlen_q=None, int? max_seqlen_k=None, float? softmax_scale=None, bool is_causal=False, "
    "int window_size_left=-1, int window_size_right=-1, float softcap=0.0, bool deterministic=False, int sm_margin=0) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    "pyg::scatter_sum(Tensor src, Tensor index, int dim=-1, Tensor? out=None, int? dim_size=None) -> Tensor",
    "pyg::segment_sum_coo(Tensor src, Tensor index, Tensor? out=None, int? dim_size=None) -> Tensor",
    "pyg::segment_sum_csr(Tensor src, Tensor indptr, Tensor? out=None) -> Tensor",
    "pyg::spline_weighting_backward_x(Tensor grad_out, Tensor weight, Tensor basis, Tensor weight_index) -> Tensor",
    "pyg::spline_weighting_backward_weight(Tensor grad_out, Tensor x, Tensor basis, Tensor weight_index, "
    "int kernel_size) -> Tensor",
    "fbgemm::jagged_index_add_2d_forward(Tensor values, Tensor indices, Tensor input_offsets, Tensor output_offsets, "
    "int num_dense_input_rows, int num_output_rows) -> Tensor",
    "fbgemm::group_index_select_dim0_gpu_backward(Tensor[] inputs, SymInt[] output_shape_group) -> Tensor[]",
    "fbgemm::split_embedding_nobag_backward_codegen_sgd_unweighted_exact_cuda(Tensor grad_output, "
    "Tensor(a!) dev_weights, Tensor(b!) uvm_weights, Tensor lxu_cache_weights, Tensor weights_placements, "
    "Tensor weights_offsets, SymInt D, Tensor hash_size_cumsum, int total_hash_size_bits, Tensor indices, "
    "Tensor offsets, Tensor lxu_cache_locations, int unused_, int max_segment_length_per_warp, "
    "bool stochastic_rounding, int info_B_num_bits, int info_B_mask_int64, bool use_uniq_cache_locations, "
    "bool use_homogeneous_placements, Tensor learning_rate_tensor) -> Tensor",
    "DaoAILab::_causal_conv1d_bwd_cpp(Tensor x, Tensor weight, Tensor? bias, Tensor dout, Tensor? seq_idx, "
    "Tensor? initial_states, Tensor(a!)? dfinal_states, Tensor(b!) dx, Tensor(c!) dweight, Tensor(d!)? dbias, "
    "Tensor(e!) dinitial_states, bool silu_activation) -> ()",
    "apex::group_norm_nhwc_bprop(Tensor grad_output, Tensor sums, Tensor x, SymInt G, Tensor weight, Tensor bias, "
    "float eps, str? act=None, SymInt passes=1, bool use_group_norm_v2=False) -> (Tensor, Tensor, Tensor)",
    "bitsandbytes::optimizer_update_32bit(str optimizer_name, Tensor(a0!) g, Tensor(a1!) p, Tensor(a2!) state1, "
    "Tensor(a3!)? state2, Tensor(a4!)? unorm_vec, float max_unorm, float param_norm, float beta1, float beta2, "
    "float beta3, float alpha, float eps, float weight_decay, int step, float lr, float gnorm_scale, "
    "bool skip_zeros=False) -> ()",
]


def _stand_in(schema: Any) -> Any:
    """A kernel that returns, for each tensor the schema promises, one like the first tensor it is given."""
    kinds = [str(each.type) for each in schema.returns]

    def kernel(*args: Any, **kwargs: Any) -> Any:
        first = args[0] if not isinstance(args[0], list) else args[0][0]
        given = first if isinstance(first, torch.Tensor) else None
        made = [torch.empty_like(given) if kind == "Tensor" else [torch.empty_like(given)] for kind in kinds]
        return None if not made else made[0] if len(made) == 1 else tuple(made)

    return kernel


def _declare() -> list[torch.library.Library]:
    libraries = []
    for text in SCHEMAS:
        schema = torch._C.parse_schema(text)
        namespace, _, name = schema.name.partition("::")
        if not torch._C._dispatch_has_kernel(schema.name) and not torch._C._jit_get_schemas_for_operator(schema.name):
            library = torch.library.Library(namespace, "FRAGMENT")
            library.define(text.removeprefix(f"{namespace}::"))
            library.impl(name, _stand_in(schema), "CompositeExplicitAutograd")
            libraries.append(library)
    return libraries


_LIBRARIES = _declare()
"""Ops live as long as the library that declares them."""
