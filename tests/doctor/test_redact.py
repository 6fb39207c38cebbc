from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.report.redact import redacted
from provision.verify.receipt import Identity

ME = Identity("/home/alice.smith", "alice.smith", "gpu-node7.corp.example")


def clean(text: str, versions: tuple[str, ...] = ()) -> str:
    return str(redacted({"x": text}, ME, versions)["x"])


SECRETS = [
    "HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz",
    "export WANDB_API_KEY='0123456789abcdef0123'",
    'os.environ["AWS_SECRET_ACCESS_KEY"] = "0123456789abcdef0123"',
    '{"password": "0123456789abcdef0123"}',
    "DB_PASSWORD: 0123456789abcdef0123",
    "Authorization: Bearer 0123456789abcdef0123",
    "curl -H 'Authorization: Basic 0123456789abcdef0123'",
    "proxy-authorization=token 0123456789abcdef0123",
    "docker login --password 0123456789abcdef0123 registry",
    "tool --api-key=0123456789abcdef0123",
    "index-url = https://__token__:0123456789abcdef0123@index.corp.example/simple",
    "https://0123456789abcdef0123@index.corp.example/simple",
    "http://host/x?user=1&sig=0123456789abcdef0123&y=2",
    "s3://bucket/a?X-Amz-Signature=0123456789abcdef0123",
    "-----BEGIN RSA PRIVATE KEY-----\n0123456789abcdef0123\n-----END RSA PRIVATE KEY-----",
    "cookie: 0123456789abcdef0123",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_go(text: str) -> None:
    cleaned = clean(text)
    assert "0123456789abcdef0123" not in cleaned
    assert "abcdefghijklmnop" not in cleaned
    assert "index.corp.example" not in cleaned


@pytest.mark.parametrize(
    "token",
    [
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_11ABCDEFG0abcdefghijklmnop",
        "hf_abcdefghijklmnopqrstuvwxyz",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcDEF123",
        "xoxb-1234567890-abcdef",
        "glpat-abcdefghijklmnopqrst",
    ],
)
def test_tokens_go_wherever_they_stand(token: str) -> None:
    assert token not in clean(f"failed with {token}, giving up")
    assert token not in json.dumps(redacted({token: {"a": [token]}}, ME))


NAMES = [
    "/home/alice.smith/project/.venv/bin/python",
    "file:///home/alice.smith/x",
    "C:\\Users\\Bob Miller\\AppData\\Local\\Temp",
    "c:\\\\Users\\\\Bob Miller\\\\x",
    "/mnt/c/Users/bmiller/venv/lib",
    "/Users/bmiller/Library",
    "/export/home/bmiller/x",
    "bmiller@gpu-node7:~/train$ python train.py",
    "(tf) bmiller@ws-0042 ~ $ nvidia-smi",
    "Linux gpu-node7 5.15.0 x86_64",
    "host gpu-node7.corp.example is up",
    "mail bmiller@corp.example about it",
    "retrieving CUDA diagnostic information for host: DESKTOP-BMILLER; hostname: ws-0042",
    "Nov 21 10:00:00 ws-0042 kernel: NVRM: Xid (PCI:0000:01:00): 79",
    "2026-11-21T10:00:00+0100 ws-0042 kernel: nvidia: loading",
    "Linux ws-0042 5.15.0-91-generic x86_64",
    "reached gpu-node7.cluster.local over ssh",
    "USER=bmiller LOGNAME='bmiller'",
    "/scratch/alice.smith/data, ALICE.SMITH ran it, /home/bmiller/x",
    "/data/bmiller/train.py was read by /home/bmiller/.bashrc",
]


@pytest.mark.parametrize("text", NAMES)
def test_names_go(text: str) -> None:
    cleaned = clean(text).lower()
    for name in ("alice", "smith", "bob", "miller", "gpu-node7", "ws-0042", "corp.example"):
        assert name not in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "192.168.17.4",
        "tcp://10.1.2.3:8888",
        "server at 8.8.4.4 said no",
        "[fe80::1ff:fe23:4567:890a%eth0]:22",
        "2001:db8:85a3::8a2e:370:7334",
        "02:42:ac:11:00:02",
        "GPU-5a1e8c2f-1b2c-4d5e-8f90-0123456789ab",
    ],
)
def test_addresses_go(text: str) -> None:
    assert text not in clean(f"at {text} now")
    assert not any(
        part in clean(text) for part in ("192.168", "10.1.2.3", "8.8.4.4", "4567", "85a3", "42:ac", "5a1e8c2f")
    )


KEPT = [
    "/usr/lib/x86_64-linux-gnu/libcuda.so.535.183.06",
    "libcublas.so.12.1.3.1: cannot open shared object file",
    "nvidia-cublas-cu12==12.1.3.1",
    "driver 535.104.05, CUDA 12.2, cuDNN 8.9.7.29",
    "/usr/lib/x86_64-linux-gnu/libm.so.6: version `GLIBC_2.29' not found",
    "undefined symbol: memcpy@GLIBC_2.14",
    "undefined symbol: cudnnCreate@@libcudnn.so.8",
    "tensorflow/core/common_runtime/gpu/gpu_device.cc:1956] Cannot dlopen some GPU libraries.",
    "2024-05-01 12:34:56.123456: I tensorflow/stream_executor/cuda/cuda_gpu_executor.cc:939]",
    "see https://www.tensorflow.org/install/gpu for details",
    "pci bus id: 0000:01:00.0, compute capability: 8.6",
    "stream_executor::gpu::CudnnSupport::DoConvolve",
    "root@/usr/bin/python",
    "tfgpu-provision wire .venv",
    "/job:localhost/replica:0/task:0/device:GPU:0",
    "host: 127 devices",
    "libcuda.so.1 is not found; local to this host",
    "keys: 12 tokens per second",
]


@pytest.mark.parametrize("text", KEPT)
def test_what_a_diagnosis_is_made_of_stays(text: str) -> None:
    assert clean(text, ("8.9.7.29",)) == text


def test_the_version_of_a_library_is_no_address() -> None:
    assert clean("found 10.3.2.106", ("10.3.2.106",)) == "found 10.3.2.106"
    assert clean("found 10.3.2.106") == "found <address>"


def test_a_value_under_a_telling_key_goes() -> None:
    assert redacted({"variables": {"MY_TOKEN": "abc"}}, ME) == {"variables": {"MY_TOKEN": "<secret>"}}


def test_what_the_users_own_variables_hold_goes_wherever_it_stands() -> None:
    environ = {"MY_API_TOKEN": "correct horse", "PATH": "/usr/bin", "CUDA_VISIBLE_DEVICES": "0,1,2,3"}
    text = "said correct horse at /usr/bin with 0,1,2,3"
    assert redacted(text, ME, (), environ) == "said <secret> at /usr/bin with 0,1,2,3"


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_document_comes_back_in_its_shape_and_clean(document: object) -> None:
    once = redacted({"document": document, "who": "/home/alice.smith/x on gpu-node7"}, ME)
    text = json.dumps(once)
    assert "alice" not in text
    assert "gpu-node7" not in text


def test_megabytes_take_no_time_to_speak_of() -> None:
    import time

    begin = time.monotonic()
    for text in (
        "a" * 300_000,
        "=" * 300_000,
        "://" * 100_000,
        "1." * 150_000,
        "ab:" * 100_000,
        "-token" * 50_000,
        "x@" * 150_000,
    ):
        clean(text)
    assert time.monotonic() - begin < 20
