"""What of a target is called, and with what.

settle  Target -> what is called: its forward, or one training step (step, stepping, lightning, keras)
offers  what the model offers for inputs        shown  what its documentation shows
find    given, offered or solved inputs, in this order
fit     the construction of a target and the inputs that go together
"""
