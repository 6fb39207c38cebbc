"""The child in which rattler lives: one JSON line on standard input is a request, one JSON line is its answer.

It stays for the next line until its standard input ends or the other side ends it.

Nothing else of provision imports rattler. Progress goes to standard error, one JSON object a line. What cannot be
done is answered as ``{"ok": false, "kind": …, "message": …}``; credentials in a message are struck out by the other
side, which knows them.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from rattler import Channel, ChannelConfig, Gateway, MatchSpec
from rattler import exceptions as failures
from rattler.channel import ChannelPriority
from rattler.config import Config
from rattler.networking import Client
from rattler.repo_data.gateway import SourceConfig

from provision.backends.conda import worker_install, worker_solve
from provision.backends.conda.worker_solve import NoHashError

MARK = "TFGPU-CONDA "
_NOWHERE = "http://127.0.0.1:9"
"""The proxy of an offline worker: nobody listens on the discard port, so nothing leaves by accident."""

_CLIENTS: dict[str, tuple[Config, Client]] = {}


def main() -> int:
    """Answer requests until there are no more."""
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        sys.stdout.write(f"{MARK}{json.dumps(_answered(json.loads(line)))}\n")
        sys.stdout.flush()
    return 0


def _answered(request: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = asyncio.run(_done(request))
    except failures.SolverError as error:
        answer = {"ok": False, "kind": "solver", "message": str(error)}
    except (failures.InvalidMatchSpecError, failures.InvalidPackageNameError) as error:
        answer = {"ok": False, "kind": "spec", "message": str(error)}
    except NoHashError as error:
        answer = {"ok": False, "kind": "hash", "message": str(error)}
    except Exception as error:  # noqa: BLE001 - the other side tells the kinds apart by rattler's words
        answer = {"ok": False, "kind": type(error).__name__, "message": f"{error}" or type(error).__name__}
    return answer


async def _done(request: dict[str, Any]) -> dict[str, Any]:
    config, client = _access(request)
    if request["action"] == "install":
        return await worker_install.install(request, client, config)
    gateway = Gateway(
        cache_dir=Path(request["cache"]) / "repodata",
        # A channel on this disk is read whether there is a network or not.
        default_config=SourceConfig(cache_action="force-cache-only" if request["offline"] else "cache-or-fetch"),
        per_channel_config={"file://": SourceConfig(cache_action="cache-or-fetch")},
        client=client,
    )
    channels = [Channel(item, ChannelConfig()) for item in request["channels"]]
    priority = ChannelPriority.Disabled if request["priority"] == "disabled" else ChannelPriority.Strict
    specs = [MatchSpec(text, strict=False) for text in request["specs"]]
    return await worker_solve.solve(request, specs, channels, gateway, priority)


def _access(request: dict[str, Any]) -> tuple[Config, Client]:
    """Return configuration and client; solve and install share them, because a client reads every root certificate."""
    named = json.dumps([request[key] for key in ("offline", "verify", "users", "mirrors", "proxies")], sort_keys=True)
    if named not in _CLIENTS:
        config = _config(request)
        _CLIENTS[named] = config, Client.from_config(config, max_retries=0 if request["offline"] else 3)
    return _CLIENTS[named]


def _config(request: dict[str, Any]) -> Config:
    """Return rattler's configuration: its own files and pixi's, over them what `.condarc` says."""
    found = [path for path, _ in Config.config_search_paths("pixi") if path.is_file()]
    config = Config.load_from_files(list(found)) if found else Config()
    lines = []
    if not request["verify"]:
        lines.append("tls-no-verify = true")
    override = _authentication(request["users"], config)
    if override:
        lines.append(f"authentication-override-file = {json.dumps(override)}")
    if request["mirrors"]:
        lines.append("[mirrors]")
        lines += [f"{json.dumps(one)} = {json.dumps(many)}" for one, many in sorted(request["mirrors"].items())]
    proxies = {"http": _NOWHERE, "https": _NOWHERE} if request["offline"] else request["proxies"]
    known = {key: value for key, value in proxies.items() if key in ("http", "https")}
    if known:
        lines.append("[proxy-config]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in sorted(known.items())]
    return config.merge(Config.from_toml("\n".join(lines)))


def _authentication(users: dict[str, Any], config: Config) -> str:
    """Return a file for rattler with the users of channel addresses, which never reaches a disk.

    rattler takes one file: what the user's own says goes in as well.
    """
    if not users:
        return ""
    theirs = os.environ.get("RATTLER_AUTH_FILE") or config.authentication_override_file
    content: dict[str, Any] = {}
    if theirs:
        content = json.loads(Path(theirs).read_text(encoding="utf-8"))
    hosts = {
        host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host: user for host, user in users.items()
    }
    descriptor = os.memfd_create("authentication")
    os.write(descriptor, json.dumps({**content, **hosts, **users}).encode())
    path = f"/proc/self/fd/{descriptor}"
    os.environ["RATTLER_AUTH_FILE"] = path
    return path


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Without the interpreter's own ending: rattler's threads were seen once to crash in it (SIGSEGV).
    os._exit(code)
