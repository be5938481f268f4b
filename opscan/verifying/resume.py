"""Whether a run that was ended and resumed from a checkpoint equals the one that was not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from opscan.errors import VerifyError
from opscan.verifying.cause import Cause, explain
from opscan.verifying.compare import Compared, Comparison
from opscan.verifying.options import Options
from opscan.verifying.outcome import Verification
from opscan.verifying.runs import Run, Script
from opscan.verifying.stream import Record, read_header, read_records
from opscan.verifying.verify import folder_for, verification
from opscan.verifying.words import few, generator_words

_KINDS = ("batch", "value", "step")


def verify_resume(
    target: str,
    args: Sequence[str],
    resume: Sequence[str],
    stop: int | None = None,
    timeout: float | None = None,
    every: int = 1,
    keep: str | Path | None = None,
) -> Verification:
    """Run a script to its end; then once more, ended after `stop` steps (default: half of them), and resumed.

    It is resumed with the words `resume` behind `args`. The step it goes on from is found by its weights: those of one
    step of the whole run. Raises VerifyError where a run fails, or tells of no steps.
    """
    options = Options(None, every)
    with folder_for(keep) as folder:
        whole = _made(Script(target, tuple(args), timeout).record(folder / "run1.opslog", options))
        steps = sum(record["e"] == "step" for record in read_records(whole.paths[0]))
        if steps < 2:
            raise VerifyError(f"it makes {steps} steps, and cannot be resumed between", target, "Give it more to do.")
        ended = replace(options, stop=min(stop or steps // 2, steps - 1))
        _made(Script(target, tuple(args), timeout).record(folder / "run2.opslog", ended))
        resumed = Script(target, (*args, *resume), timeout).record(folder / "run3.opslog", options)
        return _compared(target, whole, resumed)


def _made(run: Run) -> Run:
    if run.failure or not run.paths[0].exists():
        raise VerifyError(f"a run failed: {run.failure}", "", "Try the script by itself first.")
    return run


def _compared(target: str, whole: Run, resumed: Run) -> Verification:
    headers = [read_header(path) for path in (whole.paths[0], resumed.paths[0])]
    begun = _begun(resumed.paths[0])
    if begun is None:
        raise VerifyError(f"the resumed run made no step: {resumed.failure}", target, "Stop earlier: --stop 1")
    last = _step_with(whole.paths[0], begun)
    if last is None:
        cause: Cause | None = _not_of_any_step(whole.paths[0], begun)
        found = Compared()
    else:
        found = Comparison().run(
            _after(last["k"], read_records(whole.paths[0])), _shifted(last["k"] + 1, read_records(resumed.paths[0]))
        )
        found.names = {begun["o"]: begun["names"]}
        cause = _why(explain(found), last, begun, whole.paths[0], resumed.paths[0])
    made = verification(target, found, cause, (whole.failure, resumed.failure), headers[:1])
    return replace(made, labels=("whole", "resumed"))


def _begun(path: Path) -> Record | None:
    """What the resumed run had before its first step."""
    records = read_records(path)
    return next((each for each in records if each["e"] == "weights" and each["first"]), None)


def _step_with(path: Path, begun: Record) -> Record | None:
    """The step of the whole run after which its parameters were those."""
    steps = (each for each in read_records(path) if each["e"] == "step" and each.get("o", 0) == begun["o"])
    return next((each for each in steps if each.get("p") == begun["p"]), None)


def _not_of_any_step(path: Path, begun: Record) -> Cause:
    steps = [each for each in read_records(path) if each["e"] == "step" and "p" in each]
    differing = [sum(a != b for a, b in zip(each["p"], begun["p"], strict=False)) for each in steps]
    nearest = min(range(len(steps)), key=differing.__getitem__)
    names = [name for name, a, b in zip(begun["names"], steps[nearest]["p"], begun["p"], strict=False) if a != b]
    lines = (("parameters", f"{len(names)} of {len(begun['p'])} are not those of step {nearest}: {few(names)}"),)
    what = "The resumed run begins with weights that the whole run had after no step."
    return Cause("resume", 0, what, lines, "Save and load all of model.state_dict().")


def _after(last: int, records: Iterable[Record]) -> Iterator[Record]:
    """What the whole run did after a step."""
    return (each for each in records if each["e"] == "end" or (each["e"] in _KINDS and each["k"] > last))


def _shifted(by: int, records: Iterable[Record]) -> Iterator[Record]:
    """What the resumed run did, with the steps counted on; of batches before its first step only the last counts.

    A script may draw the batches once more that it had before, and pass them over.
    """
    batch = None
    for each in records:
        if each["e"] == "batch" and each["k"] == 0:
            batch = {**each, "k": by}
            continue
        if each["e"] in _KINDS:
            if batch is not None:
                yield batch
                batch = None
            yield {**each, "k": each["k"] + by}
        elif each["e"] == "end":
            yield each


def _why(cause: Cause | None, last: Record, begun: Record, whole: Path, resumed: Path) -> Cause | None:
    """The cause, with what was not restored: the optimizer's state, and generators."""
    if cause is None:
        return None
    lines = [("resumed", f"after step {last['k']}, with the weights of that step")]
    advice = "Restore it with the checkpoint, and the generators too: torch.set_rng_state(...)."
    if last.get("s") != begun.get("s"):
        lines.append(("optimizer", "its state was not restored"))
        advice = "Save and load optimizer.state_dict()."
    number = last["k"] + 1
    after = next((each for each in read_records(whole) if each["e"] == "step" and each["k"] == number), None)
    later = next((each for each in read_records(resumed) if each["e"] == "step"), None)
    states = [each.get("r", {}) if each else {} for each in (after, later)]
    lost = [name for name in states[0] if states[0][name] != states[1].get(name)]
    drawn = [name for name in lost if states[0][name] != last.get("r", {}).get(name)]
    if drawn:
        lines.append(("generators", f"not restored: {few([generator_words(name) for name in drawn])}"))
        if last.get("s") == begun.get("s"):
            advice = _RESTORE.get(drawn[0].split()[0], advice)
    lines += [line for line in cause.lines if line[0] != "drawn"]
    what = f"In step {cause.step}, the first after a checkpoint, the resumed run parts from the whole one."
    if cause.step > number:
        what = f"In step {cause.step}, {cause.step - number} after the checkpoint, the resumed run parts."
    return replace(cause, kind="resume", what=what, lines=tuple(lines), advice=advice)


_RESTORE = {
    "torch": "Save torch.get_rng_state() with the checkpoint, and hand it to torch.set_rng_state() on resume.",
    "numpy": "Save numpy.random.get_state() with the checkpoint, and hand it to set_state() on resume.",
    "random": "Save random.getstate() with the checkpoint, and hand it to random.setstate() on resume.",
}
