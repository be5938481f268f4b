"""Running a function where nothing it does can hurt: a process of its own, with a limit on time and on memory.

    client    the end that asks: starts servers, asks them, and tells what came of it
    start     the two ways to start a server: in a new interpreter, or forked from this process
    server    the process that imports once and forks a child for each call
    child     what a child does, from the fork to its word
    codec     values as data: what a child hands in is never unpickled, but read by its type
    told      errors as data
    heard     what a child prints, on its way to stderr
    terminal  what stands for the terminal that a child has not
    lastline  the line at which a process stood that hung or crashed
    limits    what a child is held to, and how whatever it started is ended with it
    memory    how much memory there is
    outcome   what came of a call: a value, an error, or how its process ended

Import from these modules. None of them loads torch.
"""
