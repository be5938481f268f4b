"""The states of CTC paths: sums over all paths, forward and backward in time, and the classes they stand for."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from opscan.replacements.cells import rows_at, sum_at


class Lattice(NamedTuple):
    """The states that a path goes through: a blank before, between and after the labels, S' = 2 * S + 1 of them.

    `labels` (N, S) are those of each sample, padded with blanks; the lengths are numbers, one per sample.
    """

    labels: Tensor
    inputs: list[int]
    targets: list[int]
    blank: int

    @classmethod
    def of(cls, given: Tensor, inputs: list[int], targets: list[int], blank: int, states: int) -> Lattice:
        """From targets as they are given: (N, S) or all in one row."""
        lengths = torch.tensor(targets, device=given.device)[:, None]
        place = torch.arange((states - 1) // 2, device=given.device).expand(len(targets), -1)
        if given.dim() == 1:
            first = torch.tensor([0, *itertools.accumulate(targets)][:-1], device=given.device)[:, None]
            labels = given[(first + place).clamp(max=max(given.numel() - 1, 0))] if place.numel() else place
        else:
            labels = given[:, : place.size(1)]
        return cls(labels.where(place < lengths, blank), inputs, targets, blank)

    def reversed(self) -> Lattice:
        """That of the same samples, read from the end."""
        return self._replace(labels=flipped(self.labels, 1, self.targets))

    def states(self) -> Tensor:
        """The label of each state (N, S')."""
        blanks = torch.full_like(self.labels, self.blank)
        return F.pad(torch.stack([blanks, self.labels], -1).flatten(1), (0, 1), value=self.blank)

    def reached(self, times: int) -> Tensor:
        """Which states at which times belong to a sample (N, T, S')."""
        device = self.labels.device
        inputs, targets = (torch.tensor(each, device=device)[:, None] for each in (self.inputs, self.targets))
        time = torch.arange(times, device=device) < inputs
        return time[..., None] & (torch.arange(2 * self.labels.size(1) + 1, device=device) <= 2 * targets)[:, None]

    def read(self, log_probs: Tensor) -> Tensor:
        """The score of each state at each time (N, T, S') from that of each class (T, N, C)."""
        times, count, classes = log_probs.shape
        rows = log_probs.permute(1, 2, 0).reshape(count * classes, times)
        return rows_at(rows, self._rows(classes)).transpose(1, 2)

    def collected(self, values: Tensor, classes: int) -> Tensor:
        """The sum over all states of a class (T, N, C) of something of each state (N, T, S')."""
        count, times, states = values.shape
        rows = values.transpose(1, 2).reshape(count * states, times)
        sums = sum_at(values.new_zeros(count * classes, times), self._rows(classes).reshape(-1), rows)
        return sums.view(count, classes, times).permute(2, 0, 1)

    def _rows(self, classes: int) -> Tensor:
        return torch.arange(self.labels.size(0), device=self.labels.device)[:, None] * classes + self.states()


def paths(log_probs: Tensor, lattice: Lattice) -> Tensor:
    """The log of the sum over all paths that are in a state at a time, up to that time (N, T, S').

    What does not belong to a sample is not written. Differentiable any number of times, by a loop over time.
    """
    found: Tensor = _Paths.apply(log_probs, *lattice)  # type: ignore[no-untyped-call]
    return found


def occupied(log_probs: Tensor, lattice: Lattice, alphas: Tensor) -> Tensor:
    """The probability that a path is in a class at a time, given the target (T, N, C); `alphas` are `paths`.

    The sums over the rest of a path are those over its beginning, of the sample read from the end: the forward's
    kernel computes both. Source: equation 16 of Graves et al., Connectionist Temporal Classification (2006).
    """
    turned = flipped(log_probs.transpose(0, 1), 1, lattice.inputs).transpose(0, 1)
    betas = flipped(paths(turned, lattice.reversed()), 1, lattice.inputs)
    betas = flipped(betas, 2, [2 * each + 1 for each in lattice.targets])
    possible = lattice.reached(log_probs.size(0)) & (alphas != -math.inf) & (betas != -math.inf)
    joint = (alphas + betas - lattice.read(log_probs)).where(possible, -math.inf)
    none = ~possible.any(-1, keepdim=True)
    given = joint.masked_fill(none, 0).softmax(-1).where(possible, 0)  # at any time the sum over states is the total
    return lattice.collected(given, log_probs.size(2))


class _Paths(torch.autograd.Function):
    @staticmethod
    def forward(log_probs: Tensor, labels: Tensor, inputs: list[int], targets: list[int], blank: int) -> Tensor:
        return torch._ctc_loss(log_probs, labels, inputs, targets, blank)[1]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2], output)
        ctx.options = inputs[2:]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        log_probs, labels, alphas = ctx.saved_tensors
        lattice = Lattice(labels, *ctx.options)
        states = lattice.states()
        open_to = lattice.reached(log_probs.size(0)) & (alphas != -math.inf)
        into = alphas - lattice.read(log_probs)
        moves = (torch.ones_like(states), torch.ones_like(states), _differs(states))
        shares = [_share(alphas, into, open_to, move, by) for by, move in enumerate(moves)]
        grad = grad.where(open_to, 0)
        later = grad[:, -1]
        totals = [later]
        for time in range(log_probs.size(0) - 2, -1, -1):
            passed = [F.pad(later * share[:, time], (0, by))[:, by:] for by, share in enumerate(shares)]
            later = grad[:, time] + passed[0] + passed[1] + passed[2]
            totals.append(later)
        of_states = torch.stack(totals[::-1], 1).where(open_to, 0)
        return lattice.collected(of_states, log_probs.size(2)), None, None, None, None


def _differs(states: Tensor) -> Tensor:
    """Whether a state's label is another than that of the label before it: only then is the blank between optional."""
    return F.pad(states[:, 2:] != states[:, :-2], (2, 0))[:, : states.size(1)]


def _share(alphas: Tensor, into: Tensor, open_to: Tensor, move: Tensor, by: int) -> Tensor:
    """Of the paths in a state at a time the part that came from `by` states before (N, T - 1, S')."""
    states = alphas.size(2)
    before = F.pad(alphas[:, :-1], (by, 0))[..., :states]
    possible = open_to[:, 1:] & F.pad(open_to[:, :-1], (by, 0))[..., :states] & move[:, None].bool()
    return (before - into[:, 1:]).where(possible, -math.inf).exp()


def flipped(tensor: Tensor, dim: int, lengths: list[int]) -> Tensor:
    """(N, ...), where along `dim` the first `lengths` entries of each sample are reversed, and the rest stays."""
    size = tensor.size(dim)
    if all(length == size for length in lengths):
        return tensor.flip(dim)
    place = torch.arange(size, device=tensor.device)
    last = torch.tensor(lengths, device=tensor.device)[:, None] - 1
    order = torch.where(place <= last, last - place, place)
    others = [1] * tensor.dim()
    others[0], others[dim] = order.shape
    found: Tensor = _Reordered.apply(tensor, order.view(others), dim)  # type: ignore[no-untyped-call]
    return found


class _Reordered(torch.autograd.Function):
    """Gather by an order that is its own inverse: so is the gradient."""

    @staticmethod
    def forward(tensor: Tensor, order: Tensor, dim: int) -> Tensor:
        return tensor.gather(dim, order.expand_as(tensor))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])
        ctx.dim = inputs[2]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (order,) = ctx.saved_tensors
        return _Reordered.apply(grad, order, ctx.dim), None, None  # type: ignore[no-untyped-call]
