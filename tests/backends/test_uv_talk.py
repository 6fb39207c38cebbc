from __future__ import annotations

import pytest

from provision.backends.uv_talk import Event, Kind, cause_of, clean, quoted, read_event

# Lines as uv 0.13.8 wrote them with NO_COLOR.
EVENTS = {
    "Using Python 3.12.1 environment at: v": None,
    "Resolved 44 packages in 84ms": Event(Kind.RESOLVED, count=44),
    "Downloading numpy (15.0MiB)": Event(Kind.DOWNLOADING, "numpy", 15 << 20),
    "Downloading nvidia-cudnn-cu12 (683.3MiB)": Event(Kind.DOWNLOADING, "nvidia-cudnn-cu12", int(683.3 * (1 << 20))),
    "Downloading cpython-3.11.4-linux-x86_64-gnu (download) (1.5GiB)": None,
    "Downloading six": Event(Kind.DOWNLOADING, "six", 0),
    " Downloaded nvidia-cufft-cu12": Event(Kind.FETCHED, "nvidia-cufft-cu12"),
    "   Building termcolor==1.1.0": Event(Kind.BUILDING, "termcolor==1.1.0"),
    "      Built wrapt==1.12.1": Event(Kind.FETCHED, "wrapt==1.12.1"),
    "Prepared 3 packages in 1.14s": Event(Kind.PREPARED, count=3),
    "Installed 1 package in 1ms": Event(Kind.INSTALLED, count=1),
    " + numpy==2.5.5": None,
    "warning: Failed to hardlink files; falling back to full copy.": None,
    "": None,
    "\x1b[36mInstalled\x1b[0m 2 packages in 3ms": Event(Kind.INSTALLED, count=2),
}


@pytest.mark.parametrize("line", EVENTS)
def test_lines_of_progress_are_read(line: str) -> None:
    assert read_event(line) == EVENTS[line]


CAUSES = {
    "error: No solution found when resolving dependencies\n  cause: Because a==1 depends on b<2 and you require b>=2 …": "conflict",
    "error: No solution found when resolving dependencies\n  cause: Because nope was not found in the package registry and …": "package-not-found",
    "error: No solution found when resolving dependencies\n  cause: Because termcolor==1.1.0 has no usable wheels …": "no-wheel",
    "error: No solution found …\n\nhint: Packages were unavailable because the network was disabled. When …": "offline-miss",
    "error: Failed to download `numpy==1.26.4`\n  cause: Network connectivity is disabled, but the requested data wasn't found": "offline-miss",
    "error: Request failed after 3 retries in 4.2s\n  cause: Failed to fetch: …\n  cause: Connection refused (os error 111)": "network",
    "error: Failed to download `six==1.17.0`\n  cause: Hash mismatch for `six==1.17.0`": "hash-mismatch",
    "error: Failed to download `x`\n  cause: No space left on device (os error 28)": "no-space",
    "error: Failed to initialize cache at `/proc/.cache/uv`\n  cause: failed to create directory": "cache-unusable",
    "error: Failed to fetch: `https://i.example/simple/x/`\n  cause: HTTP status client error (403 Forbidden)": "index-denied",
    "error: failed to remove: Permission denied (os error 13)": "no-permission",
    "error: Failed to build `x==1`\n  cause: The build backend returned an error": "build-failed",
    "error: something new": "uv-failed",
    "": "uv-failed",
}


@pytest.mark.parametrize("text", CAUSES)
def test_causes_are_told_apart(text: str) -> None:
    assert cause_of(text) == CAUSES[text]


def test_credentials_in_addresses_are_never_quoted() -> None:
    said = clean("Failed to fetch: https://user:secret@index.example/simple/x/ and http://token@h/")
    assert "secret" not in said
    assert "token" not in said
    assert "https://index.example/simple/x/" in said


def test_a_quote_begins_at_the_error_and_is_short() -> None:
    lines = quoted("Resolved 1 package\n\nerror: it broke\n  cause: this\n" + "more\n" * 50)
    assert lines[:2] == ("it broke", "  cause: this")
    assert len(lines) == 20
