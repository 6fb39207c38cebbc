"""A document without what tells people, machines and secrets: for reports that are shown to others.

What is taken out: the names of the user and of this machine, every other name that stands in a home folder or a
shell prompt, e-mail addresses, IP and hardware addresses, GPU UUIDs, tokens and passwords by their form or by the name
they are given to, credentials and hosts in URLs. Rather too much than too little: what looks like a secret is one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from provision.verify.receipt import Identity

USER, HOST, SECRET, ADDRESS, MAIL = "<user>", "<host>", "<secret>", "<address>", "<mail>"
_SHORTEST_NAME = 3
_SHORTEST_SECRET = 6
_LONGEST = 2000
"""Characters of one string that are kept; what is longer is cut before it is looked at."""
_COMMON = frozenset(
    {"root", "user", "users", "home", "admin", "ubuntu", "debian", "fedora", "centos", "rocky", "docker", "jovyan",
     "vscode", "runner", "conda", "mamba", "python", "tensorflow", "nvidia", "cuda", "cudnn", "keras", "jupyter",
     "notebook", "colab", "kaggle", "localhost", "local", "share", "public", "shared", "system", "lib", "bin", "opt",
     "tmp", "var", "usr", "etc", "src", "app", "apps", "work", "workspace", "project", "projects", "code", "data",
     "dev", "test", "tests", "build", "env", "venv", "site-packages", "pip", "linux", "windows", "default"}
)  # fmt: skip
"""Names that say nothing about anybody and stand in half of all lines."""

_HOMES = (
    re.compile(r"(?:/home|/Users|/users|/export/home|/media|/run/media)/+([^/\s:;,'\"`<>()\[\]{}|\\]+)"),
    re.compile(r"(?i:[a-z]:\\+users)\\+([^\\/:;,'\"`<>()\[\]{}|\n]+)"),
)
_PROMPT = re.compile(r"(?<![\w@./+:-])([A-Za-z_][\w.-]*)@([A-Za-z][\w.-]*)(?=[:\s\])~$#]|$)")
_SAID_USER = re.compile(r"\b(?:USER|LOGNAME|USERNAME|SUDO_USER|NB_USER)\s*=\s*['\"]?([A-Za-z_][\w.-]*)")
_SAID_HOST = (
    re.compile(r"(?i)\b(?:for )?host(?:[ _-]?name)?\s*[:=]\s*['\"]?([a-z][\w.-]*)"),
    re.compile(r"\bLinux ([A-Za-z][\w.-]*) \d+\.\d+"),
    re.compile(r"(?m)^\W{0,3}[A-Z][a-z]{2} +\d+ [\d:]{8} ([A-Za-z][\w.-]*) (?:kernel|[\w.@/-]+\[\d+\]|[\w.-]+):"),
    re.compile(r"(?m)^\W{0,3}\d{4}-\d\d-\d\dT[\d:.,+Z-]+ ([A-Za-z][\w.-]*) (?:kernel|[\w.@/-]+\[\d+\]):"),
    re.compile(
        r"(?i)(?<![\w./-])([a-z][\w-]*(?:\.[\w-]+)*\.(?:local|lan|internal|intern|intranet|corp|localdomain|cluster))\b"
    ),
)
"""Where programs say where they run: TensorFlow's own diagnosis, uname, system logs, names of private networks."""
_SYMBOL = re.compile(r"(?i:glibc|glibcxx|cxxabi|gcc_|lib|version|latest|v?\d)")
"""What stands behind an @ where it is no host: symbol versions of ELF files and versions of packages."""
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")

_TELLING_NAME = (
    r"[\w.-]*(?:token|passw(?:or)?d|passwd|passphrase|secret|api[_-]?key|access[_-]?key|private[_-]?key|auth[_-]?key|"
    r"credential|cookie|session[_-]?id|signature)[\w.-]*"
)
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_SECRETS = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), SECRET),
    (re.compile(r"(?i)\b((?:proxy-)?authorization['\"]?\s*[:=]\s*['\"]?)(?:(?:bearer|basic|token|digest)\s+)?[^\s'\"]+"),
     rf"\1{SECRET}"),
    (re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}"), rf"\1{SECRET}"),
    (re.compile(rf"(?i)((?<!\w){_TELLING_NAME}['\"]?\]?\s*(?:=|:(?!//))\s*)(?:{_QUOTED}|[^\s&;,'\"]+)"),
     rf"\1{SECRET}"),
    (re.compile(rf"(?i)(--?{_TELLING_NAME}[= ]\s*)(?:{_QUOTED}|[^\s'\"-][^\s'\"]*)"), rf"\1{SECRET}"),
    (re.compile(r"(?i)([?&](?:sig|key|code|auth|jwt|x-amz-[\w-]+|x-goog-[\w-]+)=)[^&\s'\"]+"), rf"\1{SECRET}"),
    (re.compile(r"\b(?:gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|hf_\w{16,}|sk-[\w-]{16,}|npm_\w{16,}|"
                r"pypi-[\w-]{16,}|xox[abeoprs]-[\w-]{8,}|A(?:KIA|SIA)[A-Z0-9]{12,}|AIza[\w-]{20,}|ya29\.[\w-]{16,}|"
                r"nvapi-[\w-]{16,}|dckr_pat_[\w-]{16,}|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?)"), SECRET),
)  # fmt: skip
_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)(?:([^\s/@'\"<>]*)@)?([^\s/:?#@'\"<>\]]+|\[[0-9a-f:.]+\])?(:\d+)?")
_PUBLIC = re.compile(r"(?i)(?:[\w-]+\.)*(?:tensorflow\.org|nvidia\.com|github\.com|python\.org|keras\.io)\Z")
_FOUR = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_BEFORE_VERSION = re.compile(r"(?:[=<>~!]=?|\.so\.|[A-Za-z_]-|\bv(?:ersion)?\s?)\s?\Z")
_SIX = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?:%\w+)?(?![\w:])")
_HARDWARE = re.compile(r"(?<![\w:-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![\w:-])")
_UUID = re.compile(r"\b((?:GPU|MIG)-)[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?:/\d+)*")


def redacted(
    document: Any, identity: Identity, versions: Collection[str] = (), environ: Mapping[str, str] | None = None
) -> Any:
    """Return a JSON-ready document with every string in it cleaned, keys included.

    Args:
        document: dicts, lists, strings and plain values.
        identity: the user's home folder and name, and the name of this machine.
        versions: what looks like an IP address and is the version of a library.
        environ: the user's variables; the values of those that are named like a secret go wherever they stand.
    """
    names = _Names(identity, _texts(document))
    named = re.compile(_TELLING_NAME, re.IGNORECASE)
    secrets = {
        value for name, value in (environ or {}).items() if len(value) >= _SHORTEST_SECRET and named.fullmatch(name)
    }
    return _Cleaner(identity, names, frozenset(versions), sorted(secrets, key=len, reverse=True)).value(document)


class _Names:
    """The names to take out wherever they stand: the user's, the machine's, and those that the document gives away."""

    def __init__(self, identity: Identity, texts: Iterator[str]) -> None:
        users = {identity.user, identity.home.rstrip("/").rpartition("/")[2]}
        hosts = {identity.host, identity.host.partition(".")[0]}
        for text in texts:
            for pattern in _HOMES:
                users.update(found.strip() for found in pattern.findall(text))
            users.update(_SAID_USER.findall(text))
            for pattern in _SAID_HOST:
                hosts.update(name for found in pattern.findall(text) for name in (found, found.partition(".")[0]))
            for user, host in _PROMPT.findall(text):
                if not _SYMBOL.match(host):
                    users.add(user)
                    hosts.update((host, host.partition(".")[0]))
        self.patterns = [
            (re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, names))})(?![A-Za-z0-9])", re.IGNORECASE), word)
            for word, names in ((USER, _telling(users)), (HOST, _telling(hosts)))
            if names
        ]


def _telling(names: Collection[str]) -> list[str]:
    """Return the names that tell somebody, the longest first."""
    kept = {name for name in names if len(name) >= _SHORTEST_NAME and name.lower() not in _COMMON and "<" not in name}
    return sorted(kept, key=lambda name: (-len(name), name))


class _Cleaner:
    def __init__(self, identity: Identity, names: _Names, versions: frozenset[str], secrets: Sequence[str]) -> None:
        self._secrets = secrets
        self._home = (
            re.compile(rf"(?<![\w.-]){re.escape(identity.home.rstrip('/'))}(?![\w.-])")
            if _is_home(identity.home)
            else None
        )
        self._names = names
        self._versions = versions

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._of_key(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value

    def _of_key(self, key: str, value: Any) -> Any:
        if isinstance(value, str) and value and re.fullmatch(f"(?i:{_TELLING_NAME})", key):
            return SECRET
        return self.value(value)

    def text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, SECRET)
        if len(text) > _LONGEST:
            text = f"{text[:_LONGEST]} …"
        for pattern, word in _SECRETS:
            text = pattern.sub(word, text)
        text = _URL.sub(_url, text)
        text = _MAIL.sub(lambda found: found[0] if _SYMBOL.match(found[0].partition("@")[2]) else MAIL, text)
        text = _PROMPT.sub(_prompt, text)
        if self._home:
            text = self._home.sub("~", text)
        for pattern in _HOMES:
            text = pattern.sub(_home_folder, text)
        text = _UUID.sub(rf"\1{ADDRESS}", text)
        text = _HARDWARE.sub(ADDRESS, text)
        text = _FOUR.sub(self._four, text)
        text = _SIX.sub(_six, text)
        for pattern, word in self._names.patterns:
            text = pattern.sub(word, text)
        return text

    def _four(self, found: re.Match[str]) -> str:
        text = found[0]
        before = found.string[max(0, found.start() - 12) : found.start()]
        if text in self._versions or _BEFORE_VERSION.search(before):
            return text
        return ADDRESS if all(int(part) <= 255 for part in text.split(".")) else text  # noqa: PLR2004 - one byte


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _is_home(home: str) -> bool:
    return len(home.strip("/")) >= _SHORTEST_NAME


def _home_folder(found: re.Match[str]) -> str:
    name = found[1]
    return found[0] if name in ("Shared", "Public") else found[0][: -len(name)] + USER


def _prompt(found: re.Match[str]) -> str:
    return found[0] if _SYMBOL.match(found[2]) else f"{USER}@{HOST}"


def _url(found: re.Match[str]) -> str:
    scheme, credentials, host, port = found.groups()
    inside = f"{SECRET}@" if credentials else ""
    if not host:
        return f"{scheme}{inside}"
    return f"{scheme}{inside}{host if _PUBLIC.match(host) else HOST}{port or ''}"


def _six(found: re.Match[str]) -> str:
    try:
        ipaddress.IPv6Address(found[0].partition("%")[0])
    except ValueError:
        return found[0]
    return ADDRESS if re.search(r"[0-9A-Fa-f]", found[0]) else found[0]
