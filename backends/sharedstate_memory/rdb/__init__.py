"""RDB: the format of snapshots, and of what DUMP and RESTORE carry.

Bytes to values and back, without files of its own. `writer.py` and `loader.py` are for
whole files, `payload.py` for single values, `describe.py` for those who only look.
"""
