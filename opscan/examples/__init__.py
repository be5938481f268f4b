"""Models that ship with opscan, to try it on."""
