"""One plan on every card of every node: a worker that knows no engine, launchers for four engines, and the merge.

Everything meets in one folder (:mod:`bench.fleet.layout`): whatever started a worker, its shards are there, and what
is not there is what a resumed fleet still has to measure. No process has to survive for that.
"""
