"""Scripts that name the folder they were installed in, made to name another."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from provision.backends.scripts import settle_scripts


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def test_shebangs_name_the_final_place_and_records_stay_true(tmp_path: Path) -> None:
    prefix, final = tmp_path / ".env.tfgpu-0a1b2c3d", tmp_path / "env"
    site = prefix / "lib/python3.8/site-packages"
    info = site / "tool-1.0.dist-info"
    info.mkdir(parents=True)
    (prefix / "bin").mkdir()
    cached = tmp_path / "cached"
    script = f"#!{prefix}/bin/python\nprint(1)\n".encode()
    cached.write_bytes(script)
    (prefix / "bin/tool").hardlink_to(cached)
    (prefix / "bin/tool").chmod(0o755)
    (prefix / "bin/other").write_bytes(b"#!/bin/sh\n")
    (prefix / "bin/python").symlink_to("python3.8")
    row = f"../../../bin/tool,sha256={_digest(script)},{len(script)}"
    (info / "RECORD").write_text(f'"tool,odd.py",sha256=x,1\n{row}\n')
    assert settle_scripts(prefix, site, final) == ("tool",)
    settled = (prefix / "bin/tool").read_bytes()
    assert settled == f"#!{final}/bin/python\nprint(1)\n".encode()
    assert (prefix / "bin/tool").stat().st_mode & 0o777 == 0o755
    assert cached.read_bytes() == script, "the cache was written through a hardlink"
    assert (info / "RECORD").read_text().splitlines() == [
        '"tool,odd.py",sha256=x,1',
        f"../../../bin/tool,sha256={_digest(settled)},{len(settled)}",
    ]


def test_what_goes_through_a_shell_goes_directly_where_that_is_possible(tmp_path: Path) -> None:
    prefix = tmp_path / "env with ' in it" / ("long" * 30)
    site = prefix / "lib/python3.8/site-packages"
    site.mkdir(parents=True)
    (prefix / "bin").mkdir()
    quoted = str(prefix).replace("'", "'\"'\"'")
    head = "#!/bin/sh\n'''exec' '{}/bin/python' \"$0\" \"$@\"\n' '''\n"
    tool = prefix / "bin/tool"
    for final, wanted in (
        (Path("/opt/env"), "#!/opt/env/bin/python\n"),
        (Path("/opt/my env"), head.format("/opt/my env")),
        (Path("/opt/the user's"), head.format("/opt/the user'\"'\"'s")),
        (Path("/opt") / ("x" * 120), head.format(f"/opt/{'x' * 120}")),
    ):
        tool.write_text(f"{head.format(quoted)}print(1)\n")
        assert settle_scripts(prefix, site, final) == ("tool",)
        assert tool.read_text() == f"{wanted}print(1)\n"
