"""Run one step of a model on the meta device and record it as one torch.fx.Graph."""
