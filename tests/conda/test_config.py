from __future__ import annotations

from pathlib import Path

import pytest

from provision.backends.conda.channels import redacted, split, stripped
from provision.backends.conda.config import CondaConfig
from provision.errors import InvalidFileError
from provision.system import System


def load(root: Path, files: dict[str, str], **environ: str) -> CondaConfig:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return CondaConfig.load(System({"HOME": "/home/you", **environ}, root))


def test_nothing_configured(tmp_path: Path) -> None:
    config = load(tmp_path, {})
    assert config.channels == ("conda-forge",)
    assert config.ssl_verify is True
    assert config.cache == Path("/home/you/.cache/tfgpu-provision/conda")
    assert config.expanded(["conda-forge", "defaults"]) == ("conda-forge", "main", "r")


def test_later_places_win_lists_add_up_and_maps_merge(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        {
            "etc/conda/.condarc": "channels: [site]\nchannel_alias: https://site.example/conda\nssl_verify: false\n",
            "etc/conda/condarc.d/10-more.yml": "custom_channels: {lab: 'https://lab.example/c'}\n",
            "home/you/.config/conda/.condarc": "channels: [mine]\ncustom_channels: {own: 'https://own.example'}\n",
            "home/you/.condarc": "ssl_verify: /etc/ca.pem\noffline: yes\nunknown_key: [1, {a: b}]\nauto_activate_base: no\n",
            "tmp/rc": "channels: [first]\npkgs_dirs: [~/pkgs]\nenvs_dirs: [/envs]\nproxy_servers: {https: 'http://p:1'}\n",
        },
        CONDARC="/tmp/rc",
    )
    assert config.channels == ("first", "mine", "site")
    assert config.custom_channels == {"lab": "https://lab.example/c", "own": "https://own.example"}
    assert config.ssl_verify == Path("/etc/ca.pem")
    assert config.offline
    assert config.package_caches == (Path("/home/you/pkgs"),)
    assert config.envs_dirs == (Path("/envs"),)
    assert config.proxies == {"https": "http://p:1"}
    assert config.environ({"PYTHONPATH": "x", "CONDA_OVERRIDE_CUDA": "1", "A": "b"}) == {
        "A": "b",
        "SSL_CERT_FILE": "/etc/ca.pem",
    }
    assert len(config.read_from) == 5
    assert config.expanded(["lab", "own/label/dev", "conda-forge", "https://x.example/c", "/srv/my channel"]) == (
        "https://lab.example/c/lab",
        "https://own.example/own/label/dev",
        "https://site.example/conda/conda-forge",
        "https://x.example/c",
        "file:///srv/my%20channel",
    )


def test_variables_win_over_files_and_stand_in_them(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        {"home/you/.condarc": "channels: [a]\nchannel_alias: https://u:${TOKEN}@x.example\nssl_verify: $NOT_SET\n"},
        CONDA_CHANNELS="b, c",
        CONDA_SSL_VERIFY="no",
        CONDA_PKGS_DIRS="/one:/two",
        CONDA_CHANNEL_PRIORITY="Disabled",
        RATTLER_CACHE_DIR="/big/cache",
        TOKEN="hidden",  # noqa: S106 - the name of a variable
    )
    assert config.channels == ("b", "c", "a")
    assert config.ssl_verify is False
    assert config.package_caches == (Path("/one"), Path("/two"))
    assert config.channel_priority == "disabled"
    assert config.cache == Path("/big/cache")
    assert config.channel_alias == "https://u:hidden@x.example"
    assert "hidden" in config.secrets
    assert "hidden" not in repr(config)


def test_multichannels(tmp_path: Path) -> None:
    text = "default_channels: [https://m.example/main]\ncustom_multichannels: {team: [one, https://t.example/two]}\n"
    config = load(tmp_path, {"home/you/.condarc": text})
    assert config.expanded(["team", "defaults"]) == ("one", "https://t.example/two", "https://m.example/main")


def test_an_address_of_a_lock_gets_the_credentials_of_the_configuration(tmp_path: Path) -> None:
    text = "channels: ['https://ann:pw@x.example/team']\nchannel_alias: https://y.example/t/tk-1/conda\n"
    config = load(tmp_path, {"home/you/.condarc": text})
    assert config.expanded(["https://x.example/team", "https://x.example/team2", "https://y.example/conda/forge"]) == (
        "https://ann:pw@x.example/team",
        "https://x.example/team2",
        "https://y.example/t/tk-1/conda/forge",
    )


@pytest.mark.parametrize(
    "text",
    [
        *("channels: [", "- a\n- b\n", "just text", "channels: [{a: b}]", "custom_channels: [a]", "ssl_verify: [1]"),
        *("a: &a [*a]\nchannels: *a\n", "!!python/object/apply:os.system ['true']", "\t- x", "channels: [[a]]", "proxy_servers: x"),
        *("\x00", "offline: {a: 1}"),
    ],
)  # fmt: skip
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidFileError) as failure:
        load(tmp_path, {"home/you/.condarc": text})
    assert failure.value.code == "condarc-invalid"
    assert "/home/you/.condarc" in failure.value.what


def test_a_broken_file_does_not_show_its_passwords(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError) as failure:
        load(tmp_path, {"home/you/.condarc": "channels:\n  - https://ann:pass-word@x.example: [\n"})
    assert "pass-word" not in repr((failure.value.what, failure.value.why, failure.value.hint))


def test_unreadable_and_empty_files_are_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, {"home/you/.condarc": "# nothing\n"}).channels == ("conda-forge",)
    (tmp_path / "home/you/.condarc").unlink()
    (tmp_path / "home/you/.condarc").mkdir()
    assert load(tmp_path, {}).read_from == ()


@pytest.mark.parametrize(
    ("address", "bare"),
    [
        ("conda-forge", "conda-forge"),
        ("https://ann:p%40ss@x.example/c/", "https://x.example/c"),
        ("https://x.example/t/tk-123/c", "https://x.example/c"),
        ("https://tok@x.example:8443/t/tk-1/get/c?key=1#f", "https://x.example:8443/get/c"),
        ("file:///srv/c", "file:///srv/c"),
        ("file:///srv/t/mine/c", "file:///srv/t/mine/c"),
    ],
)
def test_credentials_come_out_of_addresses(address: str, bare: str) -> None:
    assert stripped(address) == bare
    shown = redacted(f"error for {address}: no", split(address).secrets)
    for secret in ("p%40ss", "p@ss", "tk-1", "tok@", "key=1"):
        assert secret not in shown
