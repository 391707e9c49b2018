"""The container file, the workflows, the action's shell and the lock: linted, and run as far as is possible here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import factory
from tests.support.paths import ROOT

ACTION = ROOT / ".github/actions/benchmark"
SCRIPTS = Path(sys.executable).parent


def lint(tool: str, *files: Path) -> subprocess.CompletedProcess[str]:
    path = SCRIPTS / tool
    if not path.exists():
        pytest.skip(f"{tool} is not installed")
    return subprocess.run([path, *files], capture_output=True, text=True)


def test_the_container_file_passes_hadolint(tmp_path):
    done = lint("hadolint", ROOT / "Containerfile")
    assert done.returncode == 0, done.stdout
    (tmp_path / "Containerfile").write_text("FROM python:latest\nRUN cd /tmp\n")
    assert lint("hadolint", tmp_path / "Containerfile").returncode == 1


def test_what_the_container_file_copies_exists():
    copied = re.findall(r"^COPY (\S+) \S+$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    assert copied == [".", "requirements.lock"]
    assert all((ROOT / name).exists() for name in copied)


def test_the_workflows_pass_actionlint(tmp_path):
    workflows = sorted((ROOT / ".github/workflows").glob("*.yml"))
    assert workflows
    done = lint("actionlint", *workflows)
    assert done.returncode == 0, done.stdout
    (tmp_path / "bad.yml").write_text("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{rnu: ls}]}}\n")
    assert lint("actionlint", tmp_path / "bad.yml").returncode == 1


def test_the_action_gives_its_shell_what_it_reads():
    action = (ACTION / "action.yml").read_text()
    inputs = set(re.findall(r"inputs\.([\w-]+)", action))
    assert inputs == {"baseline", "fail-if", "run", "install"}
    assert all(re.search(rf"^  {name}:$", action, re.MULTILINE) for name in inputs)
    read = set(re.findall(r"\$\{?([A-Z_]+)", (ACTION / "benchmark.sh").read_text()))
    given = set(re.findall(r"^        ([A-Z_]+):", action, re.MULTILINE))
    assert read - given == {"RUNNER_TEMP", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"}


@pytest.mark.parametrize(
    ("speed", "fail_if", "code", "outcome"),
    [(1.0, "slower", 0, "pass"), (0.5, "slower", 1, "regression"), (0.5, "sha256d.rate_per_s<0.4", 0, "pass")],
)
def test_the_action_fails_on_slower(tmp_path, speed, fail_if, code, outcome):
    done = benchmark(tmp_path, speed, fail_if)
    assert done.returncode == code, done.stdout + done.stderr
    outputs = dict(line.split("=") for line in (tmp_path / "output").read_text().splitlines())
    assert json.loads(Path(outputs["verdict"]).read_text())["outcome"] == outcome
    assert "sha256d" in (tmp_path / "summary.md").read_text()
    assert ("::error::" in done.stdout) == (code != 0)


def test_the_action_without_a_baseline_says_how_to_make_one(tmp_path):
    done = benchmark(tmp_path, 1.0, "slower", baseline="none.csv")
    assert done.returncode == 2
    assert done.stdout.startswith("::error::there is no baseline none.csv. To make one")


def benchmark(
    folder: Path, speed: float, fail_if: str, baseline: str = "baseline.csv"
) -> subprocess.CompletedProcess[str]:
    """The action's shell with a ``bitwatt`` that measures nothing: ``run`` gives rows at ``speed`` × the baseline's."""
    factory.write(folder / "baseline.csv", factory.run(factory.CARD_A, 5))
    factor = {"rate_per_s": speed, "work": speed}
    rows = [
        replace(record, run_id="new", **{name: getattr(record, name) * by for name, by in factor.items()})
        for record in factory.run(factory.CARD_A, 5, seed=2)
    ]
    factory.write(folder / "new.csv", rows)
    stand_in = folder / "bin" / "bitwatt"
    stand_in.parent.mkdir()
    stand_in.write_text(
        "#!/bin/sh\ncase $1 in\n"
        '  run) mkdir -p "$RUNNER_TEMP/bitwatt-results" && cp new.csv "$RUNNER_TEMP/bitwatt-results/" ;;\n'
        "  verify) ;;\n"
        f'  *) exec {sys.executable} -m bench.cli.app "$@" ;;\nesac\n'
    )
    stand_in.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{stand_in.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RUNNER_TEMP": str(folder / "temp"),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "BASELINE": baseline,
        "FAIL_IF": fail_if,
        "RUN": "--device cpu",
    }
    (folder / "temp").mkdir()
    bash = shutil.which("bash")
    assert bash
    command = [bash, str(ACTION / "benchmark.sh")]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_lock_has_every_dependency_and_the_same_torch():
    lock = dict(re.findall(r"^([\w-]+)==([^ ;\n]+)", (ROOT / "requirements.lock").read_text().lower(), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=\[]", wanted)[0] for wanted in project["dependencies"]}
    assert names <= set(lock)
    assert f"torch=={lock['torch']}" == (ROOT / "constraints.txt").read_text().strip()
