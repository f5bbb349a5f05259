"""Waiting threads sleep, unless somebody chose or it is too late."""

from __future__ import annotations

import subprocess
import sys

from burnish.speed.waiting import wait_passively


def test_a_choice_stays(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    chosen = {"OMP_WAIT_POLICY": "ACTIVE"}
    assert not wait_passively(chosen)
    assert chosen == {"OMP_WAIT_POLICY": "ACTIVE"}


def test_it_is_said_before_torch_is_loaded(monkeypatch):
    environment: dict[str, str] = {}
    assert not wait_passively(environment)  # torch is loaded here
    monkeypatch.delitem(sys.modules, "torch")
    assert wait_passively(environment)
    assert environment == {"OMP_WAIT_POLICY": "PASSIVE"}


def test_the_command_line_says_it_in_time():
    code = (
        "import os, sys, burnish.cli.main as m\n"
        "os.environ.pop('OMP_WAIT_POLICY', None); sys.argv = ['burnish', '--version']\n"
        "try: m.main()\n"
        "except SystemExit: print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-2:] == ["PASSIVE", "False"]
