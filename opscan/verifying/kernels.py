"""What the rules say of an op that was seen to give other bits for the same inputs."""

from __future__ import annotations

from opscan.environment import installed_torch
from opscan.judge import OWN_NAMESPACES
from opscan.report.words import DEFAULT_MODE, STRICT_MODE
from opscan.rules.load import load_rules


def rule_lines(op: str, device: str) -> tuple[list[tuple[str, str]], str]:
    """Lines on an op by the rules for a device and the torch that is here, and what to do."""
    rules = load_rules().for_op(op)
    version = installed_torch()
    lines, advice = [], ""
    for rule in rules:
        entry = next((each for each in rule.history if device in each.devices and each.torch.contains(version)), None)
        if entry is None:
            continue
        lines.append(("rule", f"{rule.id}: {rule.title}. On {device}: {DEFAULT_MODE[entry.default]}; in strict mode: "
                              f"{STRICT_MODE[entry.strict]}"))  # fmt: skip
        if rule.replacements and not advice:
            advice = f"Instead: {rule.replacements[0].name}; opscan rules show {rule.id} has the code."
    if lines:
        return lines, advice or f"opscan rules show {rules[0].id}"
    if op.partition(".")[0] not in OWN_NAMESPACES:
        lines.append(("rule", f"none speaks of it: {op.partition('.')[0]} is not a namespace of torch's own"))
        return (
            lines,
            "Make the op itself repeat: look for atomic additions, threads, a clock or its own random numbers.",
        )
    lines.append(("rule", f"none says that it varies on {device or 'this device'}"))
    return lines, "Set torch.set_num_threads(1) and try again; if it still differs, it is a bug worth a report."
