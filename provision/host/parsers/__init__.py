"""Pure functions from the text of one tool or file to values; none of them raises, whatever the text."""

from provision.host.parsers.kernel_module import KernelModule, parse_gpu_information, parse_proc_version
from provision.host.parsers.ldconfig import CachedLibrary, parse_ldconfig
from provision.host.parsers.smi import MigDevice, SmiReport, SmiState
from provision.host.parsers.smi_csv import fields_of, parse_smi_csv
from provision.host.parsers.smi_table import parse_smi_table
from provision.host.parsers.smi_xml import parse_smi_xml
from provision.host.parsers.toolkit import (
    cudnn_of_file,
    parse_cudnn_header,
    parse_nvcc,
    parse_toolkit,
    parse_version_json,
    parse_version_txt,
    plain_toolkit,
)

__all__ = [
    "CachedLibrary",
    "KernelModule",
    "MigDevice",
    "SmiReport",
    "SmiState",
    "cudnn_of_file",
    "fields_of",
    "parse_cudnn_header",
    "parse_gpu_information",
    "parse_ldconfig",
    "parse_nvcc",
    "parse_proc_version",
    "parse_smi_csv",
    "parse_smi_table",
    "parse_smi_xml",
    "parse_toolkit",
    "parse_version_json",
    "parse_version_txt",
    "plain_toolkit",
]
