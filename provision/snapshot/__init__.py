"""An environment, a log or a script as doctor sees it: everything is read, nothing is judged.

This room stands above the others of its kind, because it asks them: the machine, the loader, the records on disk.
"""
