"""Running a training twice, and finding the first place where the runs part.

    watch      what a recorded process has in it: hooks that write down batches, draws, weights, steps, values, ops
    stream     the file they are written to, one record per line, and reading it
    runs       recorded processes: started, limited in time, ended with all they started
    compare    two streams side by side, in bounded memory
    cause      the first difference, and what it comes from, in words
    growth     how the difference grows from step to step
    outcome    the answer, and its renderings

Import from these modules. Only what records or compares tensors loads torch.
"""
