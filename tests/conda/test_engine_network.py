from __future__ import annotations

import json
from pathlib import Path

import pytest
from conda import channel as channels
from conda.world import GPU, ROW, engine_at, solved, system_at, tree

from provision.backends.conda.config import CondaConfig
from provision.backends.conda.engine import Engine
from provision.errors import ProvisionError, ToolFailedError


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "conda-denied"), (403, "conda-denied"), (404, "conda-channel-not-found")],
)
def test_what_a_server_answers_has_its_code(tmp_path: Path, usual: Path, status: int, code: str) -> None:
    with channels.serve(usual, status=status) as served, pytest.raises(ToolFailedError) as failure:
        engine_at(tmp_path).solve(["numpy"], [served.address], ROW)
    assert failure.value.code == code
    assert failure.value.hint


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError) as failure:
        engine_at(tmp_path).solve(["numpy"], ["http://127.0.0.1:9/none"], ROW)
    assert failure.value.code == "conda-network"


def test_offline_everything_comes_from_the_cache(tmp_path: Path, usual: Path) -> None:
    with channels.serve(usual) as served:
        engine = engine_at(tmp_path)
        packages = solved(engine, GPU, served.address)
        engine.install(packages, tmp_path / "a", tmp_path / "env")
        asked = len(served.log)
        dark = engine_at(tmp_path, offline=True)
        assert solved(dark, GPU, served.address) == packages
        dark.install(packages, tmp_path / "b", tmp_path / "env")
        assert len(served.log) == asked
        assert tree(tmp_path / "a") == tree(tmp_path / "b")
        empty = engine_at(tmp_path / "empty", offline=True)
        for work in (
            lambda: empty.solve(GPU, [served.address], ROW),
            lambda: empty.install(packages, tmp_path / "c", tmp_path / "c"),
        ):
            with pytest.raises(ToolFailedError) as failure:
                work()
            assert failure.value.code == "conda-offline-miss"
        assert len(served.log) == asked
    # A channel on this disk needs no network.
    solved(empty, GPU, usual.as_uri())


@pytest.mark.parametrize("how", ["address", "condarc", "token", "alias", "netrc", "auth-file"])
def test_credentials_open_the_channel_and_are_seen_nowhere(tmp_path: Path, usual: Path, how: str) -> None:
    secret = "s3cr3t-tok3n"  # noqa: S105 - opens a server of this test
    home = tmp_path / "home"
    home.mkdir()
    environ = {}
    opening = {"token": secret} if how in ("token", "alias") else {"user": f"ann:{secret}"}
    with channels.serve(usual, **opening) as served:
        bare, host = served.address, served.address.removeprefix("http://")
        wanted = bare
        if how == "address":
            wanted = f"http://ann:{secret}@{host}"
        elif how == "token":
            wanted = f"{bare}/t/{secret}"
        elif how == "condarc":
            (home / ".condarc").write_text(f"channels: [http://ann:{secret}@{host}]\n")
        elif how == "alias":
            (home / ".condarc").write_text(f"channel_alias: {bare}/t/{secret}\n")
        elif how == "netrc":
            (home / ".netrc").write_text(f"machine 127.0.0.1\nlogin ann\npassword {secret}\n")
            (home / ".netrc").chmod(0o600)
            environ["NETRC"] = str(home / ".netrc")
        else:
            content = {"127.0.0.1": {"BasicHTTP": {"username": "ann", "password": secret}}}
            (tmp_path / "auth.json").write_text(json.dumps(content))
            environ["RATTLER_AUTH_FILE"] = str(tmp_path / "auth.json")
        system = system_at(home, **environ)
        told: list[str] = []
        engine = Engine(system, CondaConfig.load(system), on_line=told.append)
        packages = solved(engine, GPU, wanted)
        assert {item.channel for item in packages} == {bare}
        engine.install(packages, tmp_path / "env", tmp_path / "env", requested=GPU)
        # From a lock, with the address that stands in it.
        denied = engine.solve(["nothere"], [wanted], ROW)
        with pytest.raises(ProvisionError) as failure:
            Engine(system, CondaConfig.load(system)).solve(["nothere2"], [f"{wanted}/gone"], ROW)
    shown = repr((packages, denied, told, failure.value.what, failure.value.why, failure.value.hint, engine._config))
    assert secret not in shown
    for folder in (tmp_path / "env", engine.cache):
        for path in folder.rglob("*"):
            assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def test_a_refused_credential_is_not_shown(tmp_path: Path, usual: Path) -> None:
    with channels.serve(usual, user="ann:right") as served, pytest.raises(ToolFailedError) as failure:
        engine_at(tmp_path).solve(["numpy"], [served.address.replace("//", "//ann:wr0ng-one@")], ROW)
    assert failure.value.code == "conda-denied"
    assert "wr0ng-one" not in repr((failure.value.what, failure.value.why, failure.value.hint))


def test_a_mirror_of_rattlers_configuration_serves_and_the_lock_names_the_channel(tmp_path: Path, usual: Path) -> None:
    home = tmp_path / "home"
    (home / ".config/rattler").mkdir(parents=True)
    with channels.serve(usual) as served:
        (home / ".config/rattler/config.toml").write_text(
            f'[mirrors]\n"http://channel.invalid/usual" = ["{served.address}"]\n'
        )
        engine = engine_at(tmp_path)
        packages = solved(engine, ("tool",), "http://channel.invalid/usual")
        engine.install(packages, tmp_path / "env", tmp_path / "env")
        assert served.log
    assert {item.channel for item in packages} == {"http://channel.invalid/usual"}


def test_a_proxy_of_condarc_is_used(tmp_path: Path, usual: Path) -> None:
    with channels.serve(usual) as served:
        (tmp_path / "home").mkdir()
        (tmp_path / "home/.condarc").write_text(f"proxy_servers:\n  http: {served.address}\n")
        with pytest.raises(ToolFailedError):
            engine_at(tmp_path).solve(["tool"], ["http://channel.invalid/usual"], ROW)
        assert any(line.startswith("http://channel.invalid/") for line in served.log)


def test_progress_is_told_as_it_comes(tmp_path: Path, usual: Path) -> None:
    system = system_at(tmp_path / "home")
    told: list[str] = []
    engine = Engine(system, CondaConfig.load(system), on_line=told.append)
    with channels.serve(usual) as served:
        engine.install(solved(engine, ("cudnn",), served.address), tmp_path / "env", tmp_path / "env")
    events = [json.loads(line) for line in told]
    assert {item["name"] for item in events if item["event"] == "downloaded"} == {"cudatoolkit", "cudnn"}
    assert [item["count"] for item in events if item["event"] == "linked"] == [1, 2]
