"""The array engine measured against its peers, in one run; `run.py` beside this package starts it.

`rounds` times, `ours` and `peers` are the contestants, `works` says who does what, `processes` measures whole
processes, `marks` holds every promise, and `page`, `chart` and `table` show what was found.
"""
