"""What else keeps a record of the packages of an environment, and would take changes back."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from provision.model.environment_facts import EnvironmentFacts, Package
from provision.model.repair import PackageChange


def remarks_on(seen: EnvironmentFacts, own: Mapping[str, Package], changes: Sequence[PackageChange]) -> tuple[str, ...]:
    """Return what the user should know about changes.

    Args:
        seen: the environment.
        own: what is installed in it.
        changes: of its distributions.
    """
    if seen.env is None or not changes:
        return ()
    return (*_conda(own, changes), *_project(Path(str(seen.env.prefix)).parent, changes))


def _conda(own: Mapping[str, Package], changes: Sequence[PackageChange]) -> Iterator[str]:
    names = [item.name for item in changes if item.name in own and own[item.name].installer == "conda"]
    if names:
        yield (
            f"conda installed {', '.join(names)}: its own record keeps naming what it had installed, and "
            "`conda install` or `conda update` may bring that back"
        )


def _project(folder: Path, changes: Sequence[PackageChange]) -> Iterator[str]:
    """Yield what to write into a project of uv: ``uv sync`` installs what its lock says and removes the rest."""
    if not (folder / "uv.lock").is_file() or not (folder / "pyproject.toml").is_file():
        return
    other = [f"{item.name}=={item.after}" for item in changes if item.before and item.after not in ("", item.before)]
    fresh = [f"{item.name}=={item.after}" for item in changes if item.after and not item.before]
    gone = [item.name for item in changes if item.before and not item.after]
    if not (other or fresh or gone):
        return  # the same versions: only files were replaced
    yield f"{folder} is a project of uv: `uv sync` and `uv run` take back what it does not know of these changes"
    where = shlex.quote(str(folder))
    if other:
        listed = ", ".join(f'"{item}"' for item in other)
        yield f"write into {folder / 'pyproject.toml'}: [tool.uv] override-dependencies = [{listed}]"
    if fresh:
        yield f"then: uv add --project {where} {shlex.join(fresh)}"
    if gone:
        yield f"then: uv remove --project {where} {shlex.join(gone)}, where the project asks for it"
