"""The rules against a device: their cases and PyTorch's own samples, run and replayed, kept as data."""
