#!/usr/bin/env bash
# Measures, and compares with $BASELINE: exit code 1 if a condition of $FAIL_IF holds, 3 if a measurement is invalid.
set -euo pipefail

if [ ! -f "$BASELINE" ]; then
  echo "::error::there is no baseline $BASELINE. To make one, run 'bitwatt run $RUN' on a machine of the same kind and commit its CSV."
  exit 2
fi
results="$RUNNER_TEMP/bitwatt-results"
verdict="$RUNNER_TEMP/bitwatt-verdict.json"
{ echo "results=$results"; echo "verdict=$verdict"; } >> "$GITHUB_OUTPUT"

# word splitting is meant: $RUN holds several options
# shellcheck disable=SC2086
bitwatt run $RUN --out "$results" --quiet
bitwatt verify "$results"

code=0
bitwatt compare "$BASELINE" "$results" --by file --baseline "$(basename "$BASELINE")" \
  --fail-if "$FAIL_IF" --verdict "$verdict" --format markdown >> "$GITHUB_STEP_SUMMARY" || code=$?
case $code in
  0) echo "no slower than $BASELINE" ;;
  1) echo "::error::--fail-if $FAIL_IF did not pass: see the lines above and the summary of this job" ;;
  *) echo "::error::the comparison ended with exit code $code" ;;
esac
exit "$code"
