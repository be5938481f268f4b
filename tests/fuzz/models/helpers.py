"""What every random model begins with: what its pieces call. It stands in the models as text, and runs nowhere else."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint  # noqa: F401  # pieces call it


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad.index_select(0, torch.arange(grad.shape[0], device=grad.device)) * 2


class Residual(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


def cast(module, x):
    with torch.autocast("cuda", dtype=torch.bfloat16):
        y = module(x)
    return y.float()


def steps(x):
    return torch.stack([x.select(-1, at) * (at + 1) for at in range(min(x.shape[-1], 3))], -1)


def counted(x):
    if x.shape[-1] % 2:
        x = F.pad(x, (0, 1))
    while x.shape[-1] > 4:
        x = x[..., ::2] + x[..., 1::2]
    return x


def write(x):
    y = x.clone()
    y[..., 0] = y[..., -1] * 2
    y.add_(1).mul_(0.5)
    return y


def ids(count, below):
    return torch.arange(count) % below


def ctc(loss, x):
    ones = torch.ones(x.shape[0], dtype=torch.int64)
    return loss(x.flatten(1).unsqueeze(0).log_softmax(-1), ones.unsqueeze(1), ones, ones)


def sampled(x, **how):
    grid = F.affine_grid(torch.eye(2, 3).repeat(x.shape[0], 1, 1), [x.shape[0], 1, 3, 3], align_corners=False)
    return F.grid_sample(x, grid, align_corners=False, **how)


def zeros(x):
    return torch.zeros_like(x, dtype=torch.int64)
