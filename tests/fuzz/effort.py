"""How much is tried: a few random cases in the suite, the same each time; many with `--hypothesis-profile=long`."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

LONG = 5000


def effort(examples: int) -> settings:
    """Settings for a property: so many examples in the suite; fifty times as many, and others, in a long run.

    Nothing is shrunk: inputs are small as drawn, and shrinking a model runs hundreds of scans.
    """
    is_long = settings.default is not None and settings.default.max_examples == LONG
    return settings(
        max_examples=examples * LONG // 100 if is_long else examples,
        derandomize=not is_long,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),
    )
