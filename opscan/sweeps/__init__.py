"""Scanning every model of a package: found, each scanned in a process of its own, in parallel, into one table.

find     what the user names -> the targets in it
task     one target -> a Row, in a process of its own
parallel many tasks, through joblib, on this machine or a cluster
journal  the rows that are done, so that a sweep can go on
table    the rows, and the ways to look at them
run      composes them
"""
