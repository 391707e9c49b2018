"""Which CUDA builds ``make`` installs, on the outputs of nvidia-smi of many machines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import install
from bench.install import Gpu, UnsupportedError, choose, parse, parse_proc

ROOT = Path(__file__).resolve().parent.parent
OLDER, NEWER = "550.54.15", "580.95.05"


@pytest.mark.parametrize(
    ("table", "build"),
    [
        (f"{NEWER}, 9.0, NVIDIA H100 80GB HBM3\n" * 8, "cuda13"),
        (f"{NEWER}, 7.5, Tesla T4\n", "cuda13"),
        (f"{NEWER}, 12.0, NVIDIA GeForce RTX 5090\n", "cuda13"),
        (f"{NEWER}, 7.0, Tesla V100-SXM2-16GB\n", "cuda12"),
        (f"{NEWER}, 7.0, Tesla V100-PCIE-32GB\n{NEWER}, 9.0, NVIDIA H100 PCIe\n", "cuda12"),
        (f"{NEWER}, 6.1, NVIDIA GeForce GTX 1080 Ti\n", "cuda12"),
        (f"{OLDER}, 8.0, NVIDIA A100-SXM4-80GB\n", "cuda12"),
        ("525.60.13, 8.9, NVIDIA GeForce RTX 4090\n", "cuda12"),
        (f"{NEWER}, [N/A], Some card, revision 2\n", "cuda13"),
        (f"{OLDER}, [N/A], Some card\n", "cuda12"),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", "none"),
        ("No devices were found\n", "none"),
        ('Field "compute_cap" is not a valid field to query.\n', "none"),
        ("", "none"),
    ],
)
def test_the_build_fits_driver_and_cards(table, build):
    assert choose(parse(table)) == build


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (f"{OLDER}, 12.0, NVIDIA GeForce RTX 5090\n", "install driver 580 or later"),
        ("470.82.01, 8.0, NVIDIA A100\n", "driver 470 is too old"),
        (f"{NEWER}, 3.7, Tesla K80\n", "K80 .* too old for every current build"),
        (f"{NEWER}, 7.0, Tesla V100\n{NEWER}, 10.0, NVIDIA B200\n", "both the Tesla V100 and the NVIDIA B200"),
    ],
)
def test_where_no_build_fits_the_message_says_what_to_do(table, says):
    with pytest.raises(UnsupportedError, match=says) as found:
        choose(parse(table))
    assert "To fix: " in str(found.value)


def test_a_container_without_nvidia_smi_still_shows_the_driver():
    text = (
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023\nGCC version:  12.2.0"
    )
    assert parse_proc(text) == [Gpu("NVIDIA card", 535)]
    opened = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder@U22)"
    assert choose(parse_proc(opened)) == "cuda13"
    assert parse_proc("GCC version:  gcc 12.2.0") == []


def test_torch_comes_before_the_rest_where_pypi_has_the_wrong_build():
    first, second = install.pip_calls("cuda12", dev=True, pip_args=["--no-index", "--find-links", "wheels"])
    assert first[first.index("--index-url") + 1] == install.CUDA12_TORCH
    assert first[-1] == "torch"
    assert second[-2:] == ["-e", ".[dev,cuda12]"]
    for call in (first, second):
        assert call[:6] == ["-q", "--no-index", "--find-links", "wheels", "-c", "constraints.txt"]
    assert install.pip_calls("cuda13", dev=False, pip_args=[])[0][-1] == ".[cuda13]"
    assert [call[-1] for call in install.pip_calls("none", dev=False, pip_args=[])] == ["."]


def run_install(folder: Path, *arguments: str, smi: str | None) -> subprocess.CompletedProcess[str]:
    """``bench/install.py`` without site-packages, where nvidia-smi prints ``smi``."""
    if smi is not None:
        (folder / "nvidia-smi").write_text(f"#!/bin/sh\necho '{smi}'\n")
        (folder / "nvidia-smi").chmod(0o755)
    command = [sys.executable, "-I", "-S", ROOT / "bench/install.py", "--dry-run", *arguments]
    environment = os.environ | {"PATH": f"{folder}:/usr/bin:/bin"}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def test_it_needs_nothing_installed_and_prints_what_it_would_run(tmp_path):
    done = run_install(tmp_path, "--dev", "--", "--no-index", smi=f"{NEWER}, 7.0, Tesla V100-SXM2-16GB")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"pip install -q --no-index -c constraints.txt --index-url {install.CUDA12_TORCH} torch",
        "pip install -q --no-index -c constraints.txt -e '.[dev,cuda12]'",
    ]


def test_where_nothing_fits_it_ends_with_2_before_anything_is_installed(tmp_path):
    done = run_install(tmp_path, smi=f"{OLDER}, 12.0, NVIDIA GeForce RTX 5090")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("bitwatt: the NVIDIA GeForce RTX 5090")
    assert run_install(tmp_path, "--build", "none", smi=None).stdout == "pip install -q -c constraints.txt -e .\n"
