"""The schema's history: one file in `versions/` is one step, forward and back (`storage.migrate` runs them).

A step is written out in full and imports nothing of the rooms above: what a table was at that step must not change when the
table does. A store in use is never edited by hand: a change of the schema is a new file here.
"""
