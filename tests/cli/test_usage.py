"""Wrong use of the command line: one sentence, and what to do about it."""

from __future__ import annotations

import pytest

from bench.cli import app
from bench.model import EXIT_USAGE, BenchError


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (["sweap"], 'unknown command "sweap". To fix: use sweep, or see bitwatt --help.'),
        (["zzz"], 'unknown command "zzz". To fix: see bitwatt --help.'),
        (["run", "--windw", "3"], "unknown option: --windw. To fix: use --window, or see bitwatt run --help."),
        (["run", "--repeats", "x"], "--repeats: unable to convert .* To fix: see bitwatt run --help."),
        (["compare"], "requires an argument. To fix: see bitwatt compare --help."),
    ],
)
def test_wrong_use_is_one_sentence_with_a_way_out(tokens, says):
    with pytest.raises(BenchError, match=says) as error:
        app.call(tokens)
    assert error.value.exit_code == EXIT_USAGE
    assert "\n" not in str(error.value)
