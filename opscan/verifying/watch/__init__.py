"""What writes down a run from within: installed before the user's code runs, and taken off again in this process.

Nothing here loads torch, numpy, Lightning, Keras, TensorFlow or JAX: what watches one of them comes with it.
"""
