"""`palate score` into a folder: many files, a part each, resumable, in this process or on Ray.

inputs     which files, and how each is known again
plan       files to parts: one each, or one a row group of Parquet
manifest   manifest.json: the state of every part
worker     a part, from its rows to its file
progress   rows a second, and the time left
process    parts one after another
on_ray     parts on an actor pool
run        the command
"""
