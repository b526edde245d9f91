"""The append-only log: `log.AppendLog` is what a server has, `reader.py` what loads it, and
`manifest.py` and `units.py` what tools read it with.
"""
