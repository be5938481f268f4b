"""What a class's own documentation shows: the calls in its examples, read as text and evaluated with care.

    sources    class -> the texts that may show it: docstrings, its module's `__main__` part, its package's README
    blocks     text -> the statements of the code in it
    examples   statements -> Example: how the class is constructed, and what it is called with
    evaluate   an expression of an example -> a value; tensors as InputSpec, nothing is downloaded

Import from these modules; nothing is re-exported here.
"""
