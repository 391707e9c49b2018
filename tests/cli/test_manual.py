"""The manual page and the shell completions are of the commands that there are."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from bench.cli import app, manual
from bench.model import errors


def test_the_manual_page_has_every_command_option_and_exit_code(capsys):
    assert app.call(["man"]) == 0
    text = capsys.readouterr().out
    commands = {name.replace("\\", "") for name in re.findall(r"^\.SS (.+)$", text, re.MULTILINE)}
    assert {"bitwatt run", "bitwatt compare", "bitwatt fleet slurm", "bitwatt results readme"} <= commands
    plain = text.replace("\\-", "-")
    assert "\\fB--fail-if\\fR" in plain
    assert "--empty-" not in plain
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")} | {app.EXIT_INTERRUPTED}
    assert {int(code) for code, _ in manual.EXITS} == codes
    checker = shutil.which("mandoc")
    if checker:
        done = subprocess.run([checker, "-T", "lint", "-W", "warning"], input=text, capture_output=True, text=True)
        assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


def test_text_that_begins_as_a_request_is_text():
    assert manual._plain(".TH x") == "\\&.TH x"


@pytest.mark.parametrize(
    ("shell", "checks"), [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])]
)
def test_completion_scripts_are_valid_and_know_the_commands(shell, checks, tmp_path, capsys):
    assert app.call(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    assert "--fail-if" in script.read_text()
    if shutil.which(checks[0]):
        done = subprocess.run([*checks, script], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_bash_completes_commands_and_options(tmp_path, capsys):
    app.call(["completion", "bash"])
    script = tmp_path / "bitwatt"
    script.write_text(capsys.readouterr().out)
    program = f"""
    . {script}
    function=$(complete -p bitwatt | sed 's/.*-F \\([^ ]*\\).*/\\1/')
    COMP_WORDS=(bitwatt compare --fa); COMP_CWORD=2; $function; echo "${{COMPREPLY[@]}}"
    COMP_WORDS=(bitwatt swe); COMP_CWORD=1; $function; echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True)
    assert [line.strip() for line in done.stdout.splitlines()] == ["--fail-if", "sweep"], done.stderr
