"""One file per command: gather values, call the rooms in order, return a Result."""
