"""``python -m provision`` is the same as ``tfgpu-provision``."""

from provision.cli.main import main

main()
