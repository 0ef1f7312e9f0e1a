"""The workflow that ``stallgate init --ci`` writes for GitHub."""

from __future__ import annotations

WORKFLOW = """\
# Are the kernels right, and may the change be merged? `stallgate docs gating` explains both jobs.
name: stallgate

on:
  pull_request:

permissions:
  contents: read

env:
  STALLGATE: stallgate  # what pip installs: a version, or stallgate @ git+https://…

jobs:
  # Rightness alone, in Triton's interpreter.
  check:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v5

      - uses: actions/setup-python@v6
        with:
          python-version: "3.12"

      - name: Install  # and what else the kernels import
        run: python -m pip install "$STALLGATE" torch triton --extra-index-url https://download.pytorch.org/whl/cpu

      - name: Check
        run: stallgate check

  # Without a GPU the recording that is committed with the change is judged: make one on a GPU with
  # `stallgate profile --record`, and commit reports/recorded/. Until there is one, the job fails, because nothing was
  # measured. On a runner with a GPU: `runs-on: [self-hosted, gpu]`, and `stallgate profile --live --report`.
  gate:
    runs-on: ubuntu-latest
    timeout-minutes: 60
    steps:
      - uses: actions/checkout@v5

      - uses: actions/setup-python@v6
        with:
          python-version: "3.12"

      - name: Install
        run: python -m pip install "$STALLGATE"

      - name: Measure, or replay the recording
        run: |
          rm -f reports/latest  # only a run of this job is judged
          status=0
          stallgate profile --report || status=$?
          # 1 and 3 are for the gate to say, target by target; all else ends the job here.
          case $status in 0 | 1 | 3) ;; *) exit "$status" ;; esac

      - name: Judge
        run: stallgate gate

      - name: Keep the run
        if: ${{ !cancelled() }}
        uses: actions/upload-artifact@v5
        with:
          name: stallgate
          path: |
            reports/
            !reports/recorded/
            !reports/latest/
          if-no-files-found: ignore
"""
