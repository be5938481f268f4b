"""Running a function where nothing it does can hurt: a process of its own, with a limit on time and on memory.

    outcome  what came of it: a value, an error, or how its process ended
    server   the process that imports once and forks a child for each call
    client   the other end: starts servers, asks them, and tells what came of it
    limits   what a child is held to, and how whatever it started is ended with it

Import from these modules. None of them loads torch.
"""
