"""Read the facts out of wheels, hold the matrix against them, propose rows for releases nobody knows yet.

From the bytes up: `net` asks a server for ranges and `source` keeps them in the `cache`; `directory` and `archive` make
members of them; `metadata`, `dynamic` and `framework` make facts of members; `wheel` puts the facts of one wheel
together, `search` and `extra` what is found when others are installed beside it. `index` says which wheels there are,
and a `reader` holds session and cache.
"""
