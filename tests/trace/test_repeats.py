"""Layers that repeat one another run once while inputs are sought: Note [Layers run once]."""

from queue import SimpleQueue

import pytest
import torch
from torch import nn

from opscan import check
from opscan.trace.driver import attempt

RUNS = SimpleQueue()
"""One entry for each time a block ran; a number on the class would be put back."""


class Block(nn.Module):
    def __init__(self, width=8, index=0):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.index = index

    def forward(self, x, scale=1.0, mask=None):
        RUNS.put(None)
        x = x + self.linear(x) * scale
        return x if mask is None else (x, mask)


class Stack(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


@pytest.fixture(autouse=True)
def no_runs():
    while not RUNS.empty():
        RUNS.get()


def of(model, x):
    return attempt(model)((x,), {})


def test_equal_layers_run_once_for_each_kind_of_argument():
    out = of(Stack([Block(index=n) for n in range(40)]), torch.ones(2, 8))
    assert RUNS.qsize() == 2  # on the input, and on what needs a gradient
    assert out.shape == (2, 8)
    assert out.is_meta
    assert out.requires_grad


def test_the_model_is_afterwards_as_it_was():
    model = Stack([Block() for _ in range(5)])
    of(model, torch.ones(2, 8))
    assert all("forward" not in block.__dict__ for block in model.blocks)
    assert model(torch.ones(2, 8)).shape == (2, 8)


def test_without_it_every_layer_runs():
    attempt(Stack([Block() for _ in range(5)]), once=False)((torch.ones(2, 8),), {})
    assert RUNS.qsize() == 5


def test_layers_that_differ_run_each():
    class Wider(Block):
        pass

    blocks = [Block(), Wider(), Block(), Wider()]
    of(Stack(blocks), torch.ones(2, 8).requires_grad_())
    assert RUNS.qsize() == 2
    before = RUNS.qsize()
    scaled = [Block() for _ in range(4)]
    for n, block in enumerate(scaled):
        block.rate = 0.1 * n  # an attribute that is not its place in the list
    of(Stack(scaled), torch.ones(2, 8).requires_grad_())
    assert RUNS.qsize() - before == 4


def test_other_sizes_and_other_values_run_again():
    class Shrinking(Stack):
        def forward(self, x):
            for n, block in enumerate(self.blocks):
                x = block(x[: 8 - n // 2], scale=1.0 + n // 4)
            return x

    of(Shrinking([Block() for _ in range(8)]), torch.ones(8, 8).requires_grad_())
    assert RUNS.qsize() == 4


def test_a_tensor_handed_through_is_the_callers_own():
    seen = SimpleQueue()

    class Masked(Stack):
        def forward(self, x, mask):
            for block in self.blocks:
                x, out = block(x, mask=mask)
                seen.put(out is mask)
            return x

    attempt(Masked([Block() for _ in range(6)]))(
        (torch.ones(2, 8).requires_grad_(), torch.ones(2, dtype=torch.bool)), {}
    )
    assert [seen.get() for _ in range(seen.qsize())] == [True] * 6


def test_what_came_out_can_be_changed_in_place():
    class Adding(Stack):
        def forward(self, x):
            for block in self.blocks:
                x = block(x)
                x += 1
            return x

    assert of(Adding([Block() for _ in range(6)]), torch.ones(2, 8)).requires_grad
    assert RUNS.qsize() == 2


class Remembering(Block):
    def forward(self, x):
        self.seen = super().forward(x)
        return self.seen


class Reading(Stack):
    def forward(self, x):
        super().forward(x)
        return torch.stack([block.seen for block in self.blocks])


def test_layers_that_keep_what_others_read_are_run_after_all():
    assert of(Reading([Remembering() for _ in range(6)]), torch.ones(2, 8)).shape == (6, 2, 8)


def test_layers_with_objects_for_arguments_all_run():
    class Cache:
        pass

    class Caching(Block):
        def forward(self, x, cache):
            return super().forward(x)

    class Cached(Stack):
        def forward(self, x):
            for block in self.blocks:
                x = block(x, Cache())
            return x

    of(Cached([Caching() for _ in range(5)]), torch.ones(2, 8))
    assert RUNS.qsize() == 5


def test_a_bug_in_a_later_layer_is_found_by_the_trace_and_the_search_goes_on():
    """The list's third layer runs only for a batch of one, and nothing in its attributes says so."""

    class Picky(Block):
        def forward(self, x):
            if counter[0] is not None:
                counter[0] += 1
                if counter[0] % 6 == 3 and x.shape[0] > 1:
                    raise ValueError("Cannot handle batch sizes > 1")
            return super().forward(x)

    counter = [0]

    class Outer(Stack):
        def forward(self, x: torch.Tensor):
            counter[0] = 0
            return super().forward(x)

    report = check(Outer([Picky() for _ in range(6)]))
    assert any("1x8" in line for line in report.assumptions)


def test_every_layer_is_in_the_trace():
    check(Stack([Block() for _ in range(6)]), (torch.ones(2, 8),))
    assert RUNS.qsize() == 6


def test_what_a_call_reaches_is_lent_again_and_again_as_it_was():
    """A forward that changes its module, a table of it, and a buffer in place, finds them each time as they were."""

    class Changing(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = []
            self.register_buffer("steps", torch.zeros((), dtype=torch.long))

        def forward(self, x):
            self.seen.append(1)
            self.steps += 1
            self.late = x
            return x.expand(len(self.seen) + int(self.steps), *x.shape)

    model = Changing()
    run = attempt(model)
    assert [run((torch.ones(2, device="meta"),), {}).shape[0] for _ in range(3)] == [2, 2, 2]
    assert model.seen == []
    assert int(model.steps) == 0
    assert not hasattr(model, "late")


def test_a_list_may_have_nothing_in_some_of_its_places():
    class Gaps(Stack):
        def forward(self, x):
            for block in self.blocks:
                x = x if block is None else block(x)
            return x

    model = Gaps([Block() for _ in range(4)])
    model.blocks._modules["1"] = None
    assert of(model, torch.ones(2, 8)).shape == (2, 8)
    assert of(Gaps([Block(), Block()]), torch.ones(2, 8)).shape == (2, 8)
