"""conda-lock's own hash of the files beside a lock, by conda-lock's own code, which wants them on disk."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from provision.errors import ToolFailedError


def content_hash(environment: str, virtual_packages: str) -> Mapping[str, str]:
    """Return platform → hash, as ``conda-lock lock --check-input-hash`` makes it.

    Args:
        environment: text of the environment file.
        virtual_packages: text of the file with the virtual packages.

    Raises:
        ToolFailedError: code ``extra-missing`` without conda-lock; ``conda-lock-failed`` where it does not understand
            a file, for example a MatchSpec that conda does not know.
    """
    try:
        # Importing any part of conda-lock imports all of it: a second.
        hashing, parser, virtual = (
            importlib.import_module(f"conda_lock.{name}") for name in ("content_hash", "src_parser", "virtual_package")
        )
    except ImportError as error:
        raise ToolFailedError(
            "conda-lock is not installed; it writes conda-lock.yml",
            code="extra-missing",
            why=(str(error),),
            hint="pip install 'tfgpu-provision[conda]'",
        ) from None
    with tempfile.TemporaryDirectory(prefix="tfgpu-") as name:
        folder = Path(name)
        (folder / "environment.yml").write_text(environment, encoding="utf-8")
        (folder / "virtual-packages.yml").write_text(virtual_packages, encoding="utf-8")
        # conda-lock would fetch a table of names to learn that pip is called pip; names that it lacks stay as they are.
        (folder / "names.json").write_text("{}", encoding="utf-8")
        try:
            spec = parser.make_lock_spec(src_files=[folder / "environment.yml"], mapping_url=str(folder / "names.json"))
            repo = virtual.virtual_package_repo_from_specification(folder / "virtual-packages.yml")
            found = hashing.compute_content_hashes(spec, repo)
        except Exception as error:  # conda-lock and what it bundles raise whatever they like
            raise ToolFailedError(
                "conda-lock does not understand the files beside the lock",
                code="conda-lock-failed",
                why=tuple(str(error).splitlines()[:10]) or (type(error).__name__,),
                hint="check the conda packages that were asked for: `--with-conda`",
            ) from error
        shutil.rmtree(repo.base_path, ignore_errors=True)
    return dict(found)
