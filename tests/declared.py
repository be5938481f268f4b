"""Ops and Functions of packages that are not installed here; they return tensors like the first they are given.

For the cases of `rules/packages.toml`, whose ops are declared with their own schemas, and of
`rules/packages_functions.toml`, whose classes are found under their own names. A package that is there keeps its own.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch

from opscan.rules.load import load_rules

_ROIS = "Tensor grad, Tensor rois, {}float spatial_scale, SymInt pooled_height, SymInt pooled_width, {}"
_SIZES = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"
_FLASH = "Tensor dout, Tensor q, Tensor k, Tensor v, Tensor out, Tensor softmax_lse"

SCHEMAS = [
    "torchvision::nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "torchvision::roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, "
    "SymInt pooled_width, int sampling_ratio, bool aligned) -> Tensor",
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
    "flash_attn::_flash_attn_forward(Tensor q, Tensor k, Tensor v, float dropout_p, float softmax_scale, bool causal, "
    "SymInt window_size_left, SymInt window_size_right, float softcap, Tensor? alibi_slopes, bool return_softmax) "
    "-> (Tensor, Tensor, Tensor, Tensor)",
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

_OUT = "Tensor? optional_out, int? dim_size"
ABOVE_DISPATCH = [
    f"torch_scatter::scatter_mul(Tensor src, Tensor index, int dim, {_OUT}) -> Tensor",
    f"torch_scatter::scatter_max(Tensor src, Tensor index, int dim, {_OUT}) -> (Tensor, Tensor)",
    f"torch_scatter::segment_sum_coo(Tensor src, Tensor index, {_OUT}) -> Tensor",
    "torch_scatter::gather_coo(Tensor src, Tensor index, Tensor? optional_out) -> Tensor",
]
"""Their kernels are registered without a dispatch key: a dispatch mode sees what they call, and not them."""


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
    for text in (*SCHEMAS, *ABOVE_DISPATCH):
        schema = torch._C.parse_schema(text)
        namespace, _, name = schema.name.partition("::")
        if not torch._C._dispatch_has_kernel(schema.name) and not torch._C._jit_get_schemas_for_operator(schema.name):
            library = torch.library.Library(namespace, "FRAGMENT")
            library.define(text.removeprefix(f"{namespace}::"))
            key = "CompositeImplicitAutograd" if text in ABOVE_DISPATCH else "CompositeExplicitAutograd"
            library.impl(name, _stand_in(schema), key)
            libraries.append(library)
    return libraries


_LIBRARIES = _declare()
"""Ops live as long as the library that declares them."""


def _function(name: str) -> type[torch.autograd.Function]:
    """A torch.autograd.Function of that module and name which any arguments suit, made of ops that repeat."""
    module, _, short = name.rpartition(".")

    def forward(ctx: Any, *args: Any) -> Any:
        tensors = [each for each in args if isinstance(each, torch.Tensor)]
        ctx.save_for_backward(*tensors)
        ctx.given = [isinstance(each, torch.Tensor) for each in args]
        return next(each for each in tensors if each.is_floating_point()).clone()

    def backward(ctx: Any, grad: Any) -> Any:
        tensors = iter(ctx.saved_tensors)
        saved = [next(tensors) if given else None for given in ctx.given]
        return tuple(
            each.new_zeros(each.shape) if each is not None and each.is_floating_point() else None for each in saved
        )

    body = {"forward": staticmethod(forward), "backward": staticmethod(backward), "__module__": module}
    return type(torch.autograd.Function)(short, (torch.autograd.Function,), body)


def _declare_functions(names: list[str]) -> None:
    """Put each into a module of its own name; the packages around it are left out, so that nobody finds them."""
    for name in names:
        module, _, short = name.rpartition(".")
        if find_spec(module.partition(".")[0]) is None:
            setattr(sys.modules.setdefault(module, ModuleType(module)), short, _function(name))


_declare_functions([
    "mmcv.ops.carafe.CARAFEFunction",
    *(name for name in load_rules().by_call if not name.startswith("torch.")),
])  # fmt: skip
_roi_align: Any = sys.modules["mmcv.ops.roi_align"]
_roi_align.roi_align = _roi_align.RoIAlignFunction.apply
