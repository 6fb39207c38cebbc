"""Which claims of the matrix a receipt was measured with, as one hash.

The digest of the whole matrix changes with every edit, also with the one that adds a receipt. What a measurement is
about changes rarely: which files are installed, and what TensorFlow opens of them. Words, evidence, further Pythons and
other sets are left out.
"""

from __future__ import annotations

import hashlib
import json

from provision.model.document import jsonable
from provision.model.matrix import LibrarySet, Row


def row_digest(row: Row, library_set: LibrarySet) -> str:
    """Return the sha256, hexadecimal, of what a row and one of its sets make anybody install and open."""
    measured = {
        "release": row.requirement,
        "wheel": (row.wheel, row.wheel_sha256),
        "built": (row.cuda, row.cudnn),
        "gate": row.gate,
        "optional": row.optional,
        "search": row.search,
        "aliases": row.aliases,
        "constraints": sorted(item.requirement for item in row.constraints),
        "source_only": sorted(f"{item.name}=={item.version} {item.sha256}" for item in row.source_only),
        "set": (library_set.cuda, library_set.cudnn, library_set.channel),
        "packages": sorted((pin.requirement, sorted(pin.libraries.items())) for pin in library_set.pins),
        "conda": sorted((pin.requirement, sorted(pin.libraries.items())) for pin in library_set.conda),
    }
    return hashlib.sha256(json.dumps(jsonable(measured), sort_keys=True).encode()).hexdigest()
