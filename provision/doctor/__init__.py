"""A snapshot → one root cause with its evidence, what comes with it, and what could not be told. Pure.

``causes`` is the table of everything that has a name, ``checks`` finds causes in a machine and an environment, ``log``
in what programs printed, `diagnose` ranks what was found.
"""
