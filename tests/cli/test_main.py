"""The command group: what it holds, its help texts, and its place under `spacy`."""

import subprocess
import sys

import pytest

import spacy_semivae.cli as cli

COMMANDS = sorted(command.name for command in cli.app.registered_commands)


def test_commands_are_registered_in_order():
    names = [command.name for command in cli.app.registered_commands]
    assert names == sorted(names)
    assert {"convert", "init-config", "prune", "split", "train", "vectors"} <= set(names)


def test_without_arguments_the_commands_are_listed(semivae):
    _, output = semivae()
    assert "few labels and much raw text" in output
    assert all(name in output for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_a_help_text(semivae, name):
    code, output = semivae(name, "--help")
    assert code == 0
    (command,) = [c for c in cli.app.registered_commands if c.name == name]
    assert command.callback.__doc__.split("\n")[0][:40] in output
    for default in command.callback.__defaults__:
        assert default.help, f"{name}: {default.param_decls} has no help text"


def test_an_unknown_command(semivae):
    code, output = semivae("trian")
    assert code == 2
    assert "No such command 'trian'" in output


def test_under_spacy():
    done = subprocess.run(
        [sys.executable, "-m", "spacy", "semivae", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "init-config" in done.stdout
