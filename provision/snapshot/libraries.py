"""What the dynamic loader makes of an environment's CUDA libraries: under the user's variables, and under none.

TensorFlow's own loader is asked in children, side by side; a library that kills its process kills only one of those.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision import wiring
from provision.errors import InvalidFileError
from provision.model.environment_facts import STALE, Answered, GateFacts, LibraryFacts, SearchedFolder
from provision.probes.environment import Inventory
from provision.probes.hygiene import bare_environ, bends_the_loader, guest_environ
from provision.probes.launcher import run_probe
from provision.snapshot.premises import framework_file
from provision.snapshot.xla_tools import read_tools
from provision.system import System
from provision.system.parallel import Pending
from provision.verify.answer import Premises
from provision.wiring.report import WiringReport

_CALL_SECONDS = 20.0
_PROBE_SECONDS = 60.0
_LOG = 6000
_IMPOSTOR = "no version function"
_OF_THE_GATE = ("CudaRuntime", "Cublas", "CublasLt", "Cufft", "Curand", "Cusolver", "Cusparse", "Cudnn")
"""Loader functions whose libraries stop the GPU, for releases that have no function for all of them."""
_CUDA_FILE = re.compile(
    r"lib(cuda|cublas|cudnn|cufft|cupti|curand|cusolver|cusparse|nccl|nvrtc|nvJitLink)\w*\.so[.\d]*\Z"
)
_MACHINE_FOLDERS = (
    ("/usr/local", "cuda*/lib64"),
    ("/usr/local", "cuda*/targets/x86_64-linux/lib"),
    ("/usr/local", "cuda*/extras/CUPTI/lib64"),
    ("/opt", "cuda*/lib64"),
    ("/usr/lib", "cuda*/lib64"),
    ("/usr/lib", "nvidia-cuda-toolkit/lib*"),
    ("/usr/local", "lib"),
)
"""Where machines have CUDA libraries that no loader looks for by itself."""


def read_libraries(
    system: System,
    seen: Inventory,
    premises: Premises,
    *,
    variables: Mapping[str, str],
    whole: Callable[[], Premises] | None = None,
) -> LibraryFacts:
    """Ask TensorFlow's loader, and look at what the environment and the machine have; raises nothing of its own.

    Args:
        system: the door.
        seen: the environment.
        premises: what is installed in it.
        variables: the user's own, LD_LIBRARY_PATH, LD_PRELOAD and XLA_FLAGS among them.
        whole: returns the premises with the matrix row, where ``premises`` has none: the loader is asked before the
            matrix is read.
    """
    framework = framework_file(seen, premises)
    asked = premises.cuda_build is not False and framework is not None
    user = bare = None
    if asked:
        ask = _Question(system, seen, premises, str(framework))
        user = Pending(lambda: ask.under(user_environ(variables)))
        bare = Pending(lambda: ask.under(bare_environ())) if bends_the_loader(variables) else user
    premises = whole() if whole else premises
    report, wired = _wiring(seen)
    provided = _provided(seen, premises)
    tools = read_tools(system, seen, premises, report.cuda_data_dir if report else "", variables)
    gate, search = user.result() if user else (None, ("", ()))
    gate_bare = bare.result()[0] if bare else None
    return LibraryFacts(
        gate=gate,
        gate_bare=gate_bare,
        provided=provided,
        tools=tools,
        search=search[1],
        search_kind=search[0],
        elsewhere=_elsewhere(system, (gate, gate_bare), provided),
        library_path=_library_path(system, variables),
        preloaded=_preloaded(system, variables),
        wiring=wired,
    )


def user_environ(variables: Mapping[str, str]) -> Mapping[str, str]:
    """Return what the user's own programs start with, less what would change the probe's words and not the answer."""
    kept = {name: variables[name] for name in ("LD_PRELOAD",) if variables.get(name)}
    return guest_environ(variables, kept).values


@dataclass(frozen=True)
class _Question:
    """The question put to TensorFlow's loader."""

    system: System
    seen: Inventory
    premises: Premises
    framework: str

    def under(self, environ: Mapping[str, str]) -> tuple[GateFacts, tuple[str, tuple[str, ...]]]:
        """Return the loader's answer under these variables, and the framework library's search path."""
        arguments = {"framework": self.framework, "seconds": _CALL_SECONDS, "beside": [], "narrow": False}
        python = str(self.seen.env.python)
        answer = run_probe(self.system, python, "gate", arguments, timeout=_PROBE_SECONDS, environ=environ)
        if answer.data is None:
            return GateFacts(ended=answer.failure or "no answer", log=answer.completed.stderr[-_LOG:]), ("", ())
        return self._facts(answer.data), _search(self.framework, answer.data.get("search") or {})

    def _facts(self, data: Mapping[str, Any]) -> GateFacts:
        if data.get("unreadable"):
            return GateFacts(unloadable=f"it cannot be read: {data['unreadable']}")
        calls: Mapping[str, Any] = data.get("calls") or {}
        gate = data.get("gate")
        beside = [item for name, call in calls.items() if name not in _OF_THE_GATE for item in call["libraries"]]
        one_by_one = [calls[name] for name in _OF_THE_GATE if name in calls]
        if gate is None and not one_by_one:
            return GateFacts(beside=self._answers(beside))
        of_gate = [gate] if gate and not gate.get("ended") else [*([gate] if gate else []), *one_by_one]
        ended, culprit = _ended(of_gate)
        unloadable = next((str(call["unloadable"]) for call in of_gate if call.get("unloadable")), "")
        return GateFacts(
            libraries=self._answers(item for call in of_gate for item in call["libraries"]),
            beside=self._answers(beside),
            ended=ended,
            culprit=culprit,
            unloadable=unloadable,
            log=str(of_gate[0].get("log") or "")[-_LOG:],
        )

    def _answers(self, items: Iterable[Mapping[str, Any]]) -> tuple[Answered, ...]:
        found: dict[str, Answered] = {}
        for item in items:
            answer = self._answer(item)
            # Asked a second time, one by one, after the whole gate died: the answer that names a file counts.
            if answer.soname not in found or (found[answer.soname].file is None and answer.file):
                found[answer.soname] = answer
        return tuple(found.values())

    def _answer(self, item: Mapping[str, Any]) -> Answered:
        reached = os.path.normpath(str(item["tried"])) if item.get("tried") else ""
        file = str(item.get("file") or reached or item["soname"]) if item["found"] else None
        return Answered(
            soname=str(item["soname"]),
            file=file,
            error=str(item.get("dlerror") or ""),
            version=item.get("version"),
            impostor=item.get("version_problem") == _IMPOSTOR,
            searched=tuple((str(step["why"]), tuple(step["folders"])) for step in item.get("searched") or ()),
            # A link of the environment may lead to a file elsewhere (a cache that is shared by links).
            inside=file is not None and any(path and self.premises.inside(path) for path in (file, reached)),
            reached=reached,
        )


def _ended(calls: Iterable[Mapping[str, Any]]) -> tuple[str, str]:
    """Return how a child died, and the file whose mapping killed it; both empty where all came back."""
    for call in calls:
        crash = call.get("version_crash") or {}
        if call.get("ended"):
            return str(call["ended"]), os.path.normpath(call["died_at"]) if call.get("died_at") else ""
        if crash.get("ended") == "signal SIGBUS":
            # It was opened, and the page with the function that was asked lies behind the end of the file.
            return crash["ended"], next(
                (str(it["file"]) for it in call["libraries"] if it["soname"] == crash["soname"]), ""
            )
    return "", ""


def _search(framework: str, search: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    origin = str(Path(framework).parent)
    entries = (
        str(entry).replace("${ORIGIN}", origin).replace("$ORIGIN", origin) for entry in search.get("entries", ())
    )
    return str(search.get("kind") or ""), tuple(dict.fromkeys(os.path.normpath(entry) for entry in entries))


def _wiring(seen: Inventory) -> tuple[WiringReport | None, str]:
    """Return the wiring as it is, and what is gone of it; a link whose library is gone is not what is gone."""
    try:
        report = wiring.inspect(seen.env)
    except InvalidFileError as error:
        return None, f"its record cannot be read: {'; '.join(error.why)}"
    except OSError as error:
        return None, f"it cannot be looked at: {error}"
    if report.state == "unwired":
        return report, ""
    gone = [f"{name} is gone" for name in report.missing] + [f"{name} was changed" for name in report.changed]
    if not gone and report.state == "stale":
        gone = [f"{STALE}made for another build of TensorFlow than the one installed (it was {report.tensorflow})"]
    return report, "; ".join(gone) or "ok"


def _provided(seen: Inventory, premises: Premises) -> Mapping[str, str]:
    """Return SONAME to absolute path of every CUDA library of the environment, our own links not among them."""
    found: dict[str, str] = {}
    for name, path in premises.files.items():
        places = [f"{root}/{path}" for root in (premises.site_packages, premises.prefix)]
        found[name] = next(filter(os.path.exists, places), places[0])
    # Wheels can lie in another folder than TensorFlow (system packages, a second site), or be links into a cache.
    folders = {item.folder for item in seen.distributions if item.name.startswith("nvidia-")} | {premises.site_packages}
    for folder in sorted(filter(None, folders)):
        for file in Path(folder, "nvidia").glob("*/lib/lib*.so*"):
            if _CUDA_FILE.match(file.name) and not (file.is_symlink() and not file.readlink().is_absolute()):
                found.setdefault(file.name, str(file))
    return found


def _elsewhere(system: System, gates: Iterable[GateFacts | None], provided: Mapping[str, str]) -> Mapping[str, str]:
    """Return where the machine has what was not found and the environment does not bring."""
    wanted = {item.soname for gate in gates if gate for item in gate.missing} - provided.keys()
    if not wanted:
        return {}
    found: dict[str, str] = {}
    for base, pattern in _MACHINE_FOLDERS:
        for folder in system.glob(base, pattern):
            for name in sorted(wanted - found.keys()):
                if system.exists(f"{folder}/{name}"):
                    found[name] = f"{folder}/{name}"
    return found


def _library_path(system: System, variables: Mapping[str, str]) -> tuple[SearchedFolder, ...]:
    entries = dict.fromkeys(re.split("[:;]", variables.get("LD_LIBRARY_PATH", "")))
    found = []
    for entry in filter(None, entries):
        names = {Path(path).name for path in system.glob(entry, "lib*.so*")} if entry.startswith("/") else set()
        libraries = tuple(sorted(name for name in names if _CUDA_FILE.match(name)))
        found.append(SearchedFolder(entry, system.exists(entry), libraries))
    return tuple(found)


def _preloaded(system: System, variables: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    entries = re.split(r"[:\s]+", variables.get("LD_PRELOAD", ""))
    return tuple((entry, _resolved(system, entry)) for entry in entries if entry)


def _resolved(system: System, entry: str) -> str:
    try:
        return str(system.path(entry).resolve()) if "/" in entry else entry
    except (OSError, RuntimeError):
        return entry
