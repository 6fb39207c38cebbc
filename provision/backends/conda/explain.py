"""What rattler says, retold: a solver that found nothing is an answer, everything else a failure with its cause."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from provision.backends.conda.specs import name_of
from provision.errors import ToolFailedError, UsageError
from provision.model.created import Denial
from provision.system import Completed

_TREE = re.compile(r"^[\s│├└─]*")
_MISSING = re.compile(r"^No candidates were found for (?P<name>\S+) (?P<spec>.+?)\.?$")
_VIRTUAL = re.compile(
    r"^(?P<name>__\w+) (?P<spec>.+?), (?:for which no candidates were found|which conflicts with any installable)"
)
_PARENT = re.compile(r"^(?P<package>[A-Za-z0-9_][\w.-]* .+?) would (?P<how>require|constrain)$")
_QUOTED_LINES = 20
_SHOWN_VERSIONS = 6

_CAUSES: tuple[tuple[str, tuple[str, ...]], ...] = (
    # The order decides: a full disk or a wrong hash is often wrapped into something else.
    (
        "no-space",
        ("No space left on device", "os error 28)", "Disk quota", "os error 122)", "File too large", "os error 27)"),
    ),
    ("conda-hash-mismatch", ("hash mismatch", "is not what the lock says")),
    ("conda-no-hash", ("has no hash",)),
    ("conda-offline-miss", ("no usable repodata cache", "is not in the cache")),
    ("conda-denied", ("401 Unauthorized", "403 Forbidden", "407 Proxy")),
    ("conda-channel-not-found", ("could not find subdir",)),
    (
        "conda-network",
        (
            *(
                "error sending request",
                "client error",
                "dns error",
                "tcp connect",
                "timed out",
                "Connection re",
                "HTTP status",
            ),
            *(
                "error decoding response body",
                "404 Not Found",
                "failed to download",
                "IncompleteMessage",
                "invalid peer certificate",
            ),
        ),
    ),
    ("no-permission", ("Permission denied", "Read-only file system", "os error 13)", "os error 30)")),
)

_WHAT = {
    "no-space": "the disk is full",
    "conda-hash-mismatch": "a conda package is not what the lock says",
    "conda-no-hash": "a conda channel gives no sha256 for a package",
    "conda-offline-miss": "something needed is not in the conda cache, and the network is off,",
    "conda-denied": "a conda channel refused access",
    "conda-channel-not-found": "there is no such conda channel",
    "conda-network": "the network or a conda channel failed",
    "no-permission": "a file or folder cannot be written",
    "conda-engine-failed": "the conda engine failed",
}

_HINTS = {
    "no-space": "free some space, or set RATTLER_CACHE_DIR to a folder on a larger disk, then run the command again",
    "conda-hash-mismatch": "a download was damaged, or the channel offers another file under the same name; try again, "
    "and do not install it elsewhere meanwhile",
    "conda-no-hash": "without a hash nobody can tell whether the package is the right one: use a channel with sha256",
    "conda-offline-miss": "run the command once without --offline",
    "conda-denied": "check the credentials of the channel: `.condarc`, RATTLER_AUTH_FILE or ~/.netrc",
    "conda-channel-not-found": "check the name or address of the channel, and channel_alias in `.condarc`",
    "conda-network": "check the connection, the proxy (HTTPS_PROXY, proxy_servers in `.condarc`) and the certificates, "
    "then run the command again: what was downloaded completely is kept",
    "no-permission": "check the rights of the folder, or set RATTLER_CACHE_DIR to a folder that you can write",
}


def denial_of(
    answer: Mapping[str, Any], specs: Sequence[str], virtual: Mapping[str, str], channels: Sequence[str]
) -> Denial:
    """Return why there is no solution, from the worker's answer.

    Args:
        answer: ``message`` as rattler wrote it, ``available`` name to versions that the channels have.
        specs: what was asked for.
        virtual: what this solve had.
        channels: where was looked; their credentials are not shown.
    """
    lines = [_TREE.sub("", line).rstrip() for line in str(answer["message"]).splitlines() if line.strip()]
    text = "\n".join(lines)
    asked = tuple(
        spec for spec in specs if re.search(rf"(?<![\w-]){re.escape(name_of(spec))}(?![\w-])", text, re.IGNORECASE)
    )
    first = lines[0].removeprefix("Cannot solve the request because of: ") if lines else ""
    virtuals = _virtuals(lines)
    if virtuals:
        return Denial("conda-virtual-package", *_of_virtual(virtuals, virtual), asked=asked)
    missing = _MISSING.match(first)
    if missing:
        return _not_found(missing["name"], missing["spec"], answer, asked, channels)
    why = tuple(dict.fromkeys(line.removeprefix("Cannot solve the request because of: ") for line in lines))
    shown = " and ".join(f"`{item}`" for item in asked) or "one of the packages"
    return Denial(
        "conda-conflict",
        "the conda packages do not fit together",
        why[:_QUOTED_LINES],
        f"loosen {shown}, or choose another release or channel",
        asked,
    )


def _virtuals(lines: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return (virtual package, what is wanted of it, by whom) for each that was in the way."""
    found = []
    parent = ""
    for line in lines:
        if owner := _PARENT.match(line.removeprefix("Cannot solve the request because of: ")):
            parent = owner["package"]
        elif match := _VIRTUAL.match(line):
            found.append((match["name"], match["spec"], parent))
        elif (gone := _MISSING.match(line.removeprefix("Cannot solve the request because of: "))) and gone[
            "name"
        ].startswith("__"):
            found.append((gone["name"], gone["spec"], ""))
    return list(dict.fromkeys(found))


def _of_virtual(found: Sequence[tuple[str, str, str]], virtual: Mapping[str, str]) -> tuple[str, tuple[str, ...], str]:
    why, hints = [], []
    for name, spec, package in found:
        has = virtual.get(name)
        given = f"{name} {has} was given" if has else f"no {name} was given"
        whole = spec.strip() in ("*", "")
        why.append(f"{given}, {package or 'the request'} needs {name if whole else f'{name} {spec}'}")
        hints.append(_HINT_OF.get(name, f"choose a version of {package or 'the package'} for {given}"))
    names = " and ".join(dict.fromkeys(name for name, _, _ in found))
    return f"no choice of conda packages fits {names} of this solve", tuple(dict.fromkeys(why)), hints[0]


_HINT_OF = {
    "__cuda": "choose a release or a version whose CUDA is not newer than that, or a request with a GPU",
    "__glibc": "choose an older version of the package, or a row and a machine with a newer glibc",
    "__archspec": "choose another build of the package: this solve is for an older CPU",
}


def _not_found(
    name: str, spec: str, answer: Mapping[str, Any], asked: tuple[str, ...], channels: Sequence[str]
) -> Denial:
    has = [str(item) for item in answer.get("available", {}).get(name, ())]
    where = ", ".join(answer.get("channels") or channels)
    if has:
        shown = ", ".join(has[-_SHOWN_VERSIONS:])
        return Denial(
            "conda-package-not-found",
            f"the conda channels have no {name} {spec}",
            (f"channels: {where}", f"versions there: {shown}{' and older ones' if len(has) > _SHOWN_VERSIONS else ''}"),
            f"ask for one of these versions of {name}",
            asked,
        )
    return Denial(
        "conda-package-not-found",
        f"the conda channels have no package {name}",
        (f"channels: {where}",),
        f"check the name {name}, or name the channel that has it",
        asked,
    )


def failure_of(
    completed: Completed, answer: Mapping[str, Any] | None, doing: str, clean: Callable[[str], str]
) -> ToolFailedError | UsageError:
    """Return the error for a worker that did not do it; ``clean`` takes credentials out of its words."""
    if completed.timed_out:
        return ToolFailedError(
            f"the conda engine did not finish {doing} in time",
            code="timeout",
            why=(f"it was ended after {completed.seconds:.0f} s",),
            hint="run the command again: what was downloaded completely is kept",
        )
    if answer is None:
        said = tuple(line for line in clean(completed.stderr).splitlines() if line.strip() and not line.startswith("{"))
        code = cause_of("\n".join(said))
        died = f"signal {-completed.returncode}" if completed.returncode < 0 else f"exit code {completed.returncode}"
        return ToolFailedError(
            f"{_WHAT[code]} while {doing}",
            code=code,
            why=(f"rattler ended with {died}", *said[-3:]),
            hint=_HINTS.get(code, "often memory or a file size limit (`ulimit -a`); run the command again"),
        )
    message = clean(str(answer.get("message", "")))
    lines = tuple(line.strip() for line in message.splitlines() if line.strip())[:_QUOTED_LINES]
    if answer.get("kind") == "spec":
        return UsageError(
            "a conda package cannot be asked for like this",
            code="conda-spec-invalid",
            why=lines,
            hint="write a name with an optional version, for example `numpy`, `numpy=1.19` or `numpy >=1.19,<1.24`",
        )
    code = cause_of(message)
    return ToolFailedError(f"{_WHAT[code]} while {doing}", code=code, why=lines, hint=_HINTS.get(code))


def cause_of(text: str) -> str:
    """Return the stable code of why the engine failed, ``conda-engine-failed`` where nothing known is said."""
    return next((code for code, marks in _CAUSES if any(mark in text for mark in marks)), "conda-engine-failed")
