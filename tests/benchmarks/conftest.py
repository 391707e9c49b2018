"""Ratios and differences that a benchmark computes (its ``extra_info``) are printed below the table of times."""

from __future__ import annotations

HEADINGS = {
    "harness_over_bare": "harness ÷ bare loop, wanted 0.98 or more",
    "seconds_over_bare_python": "seconds more than bare Python, wanted 0.3 or less",
}
SHOWN = (*HEADINGS, "median_over_median", "pairs", "tflops")


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    for name, heading in HEADINGS.items():
        found = [each for each in (session.benchmarks if session else []) if name in each.extra_info]
        if found:
            terminalreporter.section(heading)
        for each in found:
            figures = [f"{key} {each.extra_info[key]:.4g}" for key in SHOWN if key in each.extra_info]
            terminalreporter.write_line(f"{each.name}: {', '.join(figures)}")
