"""From what the user names to something that can be called.

    spec    text -> TargetSpec                      (no torch)
    load    TargetSpec -> the object it names
    build   object + constructor arguments -> Target; what nobody gave is guessed (construct), or mended (mend)
    inputs  what the user gives as input -> Inputs

Import from these modules; nothing is re-exported here, so that reading a target's text never loads torch.
"""
