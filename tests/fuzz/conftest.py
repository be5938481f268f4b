"""`pytest tests/fuzz --hypothesis-profile=long` tries fifty times as much, and other cases each time."""

from __future__ import annotations

from hypothesis import settings

from tests.fuzz.effort import LONG

settings.register_profile("long", max_examples=LONG, derandomize=False, deadline=None)
