"""Where a trace on meta and one on the CPU run other ops, each with the reason and where it stands in PyTorch."""

from __future__ import annotations

from tests.fuzz.models.program import Program, Step

ON_CPU = {
    "nn.LSTM(": "the CPU hands the whole LSTM to oneDNN, mkldnn_rnn_layer: use_mkldnn in aten/src/ATen/native/RNN.cpp",
    "nn.RNN(": "the input is transposed; a linear layer without oneDNN or CUDA folds another way: linear in Linear.cpp",
    "nn.GRU(": "as nn.RNN",
    "nn.Mish(": "backward: the CPU and CUDA have a kernel, meta the formula: mish_backward in native_functions.yaml",
    "F.scaled_dot_product_attention(": "the CPU has a flash kernel for four dimensions: transformers/sdp_utils_cpp.cpp",
    "quantile(": "torch 2.6 reads on the CPU whether q is between 0 and 1, with ops: quantile in native/Sorting.cpp",
    "nn.CTCLoss(": "the targets are moved off the CPU only where the input is not there: ctc_loss in LossCTC.cpp",
}
"""By a word of what builds the module, or of the call."""


def differs_on_cpu(program: Program, step: Step) -> bool:
    """Whether a step, or the one that built its module, is in the table."""
    build = next(each.build for each in program.steps if each.number == step.owner)
    return any(word in f"{build} {step.call}" for word in ON_CPU)
