"""From what the user names to something that can be called, and the inputs to call it with.

    spec    text -> TargetSpec                      (no torch)
    load    TargetSpec -> the object it names
    build   object + constructor arguments -> Target
    inputs  what the user gives as input -> Inputs
    solve   what nobody gave -> Inputs, found by trying shapes

Import from these modules; nothing is re-exported here, so that reading a target's text never loads torch.
"""
