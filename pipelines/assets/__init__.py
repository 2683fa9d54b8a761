"""The assets: thin shells over functions of ``data``, ``models`` and ``pipelines.statistics``."""

OWNERS = ["team:library"]
