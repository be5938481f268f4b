"""Replaying one op: what differs is found, what repeats is left alone, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from opscan.observe.replay import is_replayable, run_and_replay

aten = torch.ops.aten


@pytest.fixture
def library() -> Iterator[torch.library.Library]:
    with torch.library._scoped_library("opscan_test", "FRAGMENT") as made:
        yield made


class Moody:
    """Adds one unit in the last place to its first element on the calls whose numbers it is given."""

    def __init__(self, library: torch.library.Library, *odd: int) -> None:
        self.calls = 0
        self.odd = odd
        library.define("moody(Tensor x) -> Tensor")
        library.impl("moody", self.run, "CPU")

    def run(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        y = x.clone()
        if self.calls in self.odd:
            y[0] = torch.nextafter(y[0], torch.tensor(torch.inf))
        return y


def test_one_run_in_twenty_that_differs_is_found(library: torch.library.Library) -> None:
    moody = Moody(library, *range(20, 201, 20))
    result, replay = run_and_replay(torch.ops.opscan_test.moody.default, (torch.ones(4),), {}, 200)
    assert moody.calls == 200
    assert replay == (200, 10, 2, 1, 20)
    assert torch.equal(result, torch.ones(4))


def test_what_repeats_is_never_reported(library: torch.library.Library) -> None:
    Moody(library)
    _, replay = run_and_replay(torch.ops.opscan_test.moody.default, (torch.randn(4),), {}, 200)
    assert replay == (200, 0, 1, None, None)


def test_as_many_results_as_runs_are_counted(library: torch.library.Library) -> None:
    count = iter(range(100))
    library.define("counter(Tensor x) -> Tensor")
    library.impl("counter", lambda x: x + next(count), "CPU")
    _, replay = run_and_replay(torch.ops.opscan_test.counter.default, (torch.ones(2),), {}, 10)
    assert replay is not None
    assert (replay.differing, replay.distinct, replay.first_at) == (9, 10, 2)


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (aten.native_dropout.default, (torch.ones(100), 0.5, True)),
        (aten.bernoulli_.float, (torch.ones(100), 0.5)),
        (aten.randn.default, ([50],)),
        (aten.normal_.default, (torch.ones(9),)),
    ],
)
def test_random_numbers_are_the_same_ones_in_every_run(func: object, args: tuple[object, ...]) -> None:
    torch.manual_seed(0)
    _, replay = run_and_replay(func, args, {}, 5)
    after = torch.get_rng_state()
    torch.manual_seed(0)
    func(*args)
    assert replay is not None
    assert replay.differing == 0
    assert torch.equal(torch.get_rng_state(), after)


def test_a_generator_of_ones_own_is_put_back() -> None:
    generator, alike = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    _, replay = run_and_replay(aten.bernoulli_.float, (torch.ones(100), 0.5), {"generator": generator}, 5)
    aten.bernoulli_.float(torch.ones(100), 0.5, generator=alike)
    assert replay is not None
    assert replay.differing == 0
    assert torch.equal(generator.get_state(), alike.get_state())


def test_what_is_written_in_place_is_written_once() -> None:
    x = torch.ones(3)
    result, replay = run_and_replay(aten.add_.Tensor, (x, torch.ones(3)), {}, 10)
    assert result is x
    assert x.tolist() == [2, 2, 2]
    assert replay == (10, 0, 1, None, None)
    out = torch.zeros(3)
    run_and_replay(aten.add.out, (torch.ones(3), torch.ones(3)), {"out": out}, 10)
    assert out.tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    "func", [aten.view.default, aten.detach.default, aten.empty.memory_format, aten.new_empty.default, aten.t.default]
)
def test_views_and_unwritten_memory_are_not_replayed(func: object) -> None:
    assert not is_replayable(func)


def test_results_that_keep_unwritten_memory_are_left_out() -> None:
    lengths = torch.full((3,), 20), torch.full((3,), 7)
    args = (torch.randn(50, 3, 20).log_softmax(2), torch.randint(1, 20, (3, 7)), *lengths)
    _, replay = run_and_replay(aten._ctc_loss.Tensor, args, {}, 20)
    assert replay == (20, 0, 1, None, None)


def test_random_numbers_are_put_back_when_a_replay_fails(library: torch.library.Library) -> None:
    calls = iter([True, False])
    library.define("once(Tensor x) -> Tensor")

    def once(x: torch.Tensor) -> torch.Tensor:
        torch.rand(1)
        if next(calls):
            return x.clone()
        raise RuntimeError("only once")

    library.impl("once", once, "CPU")
    torch.manual_seed(0)
    torch.rand(1)
    expected = torch.get_rng_state()
    torch.manual_seed(0)
    with pytest.raises(RuntimeError, match="only once"):
        run_and_replay(torch.ops.opscan_test.once.default, (torch.ones(1),), {}, 3)
    assert torch.equal(torch.get_rng_state(), expected)
