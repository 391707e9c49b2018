"""Ratios that a benchmark works out (its ``extra_info``) are told below the table of times, not only in the JSON."""

from __future__ import annotations

SHOWN = ("harness_over_bare", "median_over_median", "pairs", "tflops")


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    lines = [
        f"{each.name}: " + ", ".join(f"{name} {each.extra_info[name]:.4g}" for name in SHOWN if name in each.extra_info)
        for each in (session.benchmarks if session else [])
        if "harness_over_bare" in each.extra_info
    ]
    if lines:
        terminalreporter.section("harness ÷ bare loop, wanted 0.98 or more")
        for line in lines:
            terminalreporter.write_line(line)
