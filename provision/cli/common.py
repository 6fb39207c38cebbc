"""What every command shares: the way out, in text or JSON."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

from provision.errors import ExitCode


def print_json(document: dict[str, Any]) -> None:
    """Write one JSON document to standard output."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=True) + "\n")


def leave(code: ExitCode) -> NoReturn:
    """End the command with a documented exit code."""
    sys.stdout.flush()
    raise SystemExit(int(code))
