import configparser
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RESOLVE = """
import json, sys
import spacy
assert "spacy_semivae.layers" not in sys.modules
points = json.loads(sys.argv[1])
for group, names in points.items():
    for name in names:
        if group == "spacy_factories":
            nlp = globals().get("nlp") or spacy.blank("en")
            nlp.add_pipe(name)
        elif group == "spacy_cli":
            from spacy.cli import app
            from spacy.cli._util import registry
            registry.cli.get_all()
            groups = app.registered_groups
            assert name in [group.name or group.typer_instance.info.name for group in groups]
        elif group.startswith("thinc_"):
            from thinc.api import registry
            assert callable(registry.get(group.removeprefix("thinc_"), name)), name
        else:
            assert callable(spacy.registry.get(group.removeprefix("spacy_"), name)), name
print("resolved", sum(map(len, points.values())))
"""


def entry_points():
    parser = configparser.ConfigParser()
    parser.optionxform = str
    parser.read(ROOT / "setup.cfg")
    section = parser["options.entry_points"]
    return {
        group: dict(line.split(" = ") for line in lines.strip().splitlines())
        for group, lines in section.items()
    }


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120)


def test_every_entry_point_resolves_with_spacy_alone():
    groups = {group: list(names) for group, names in entry_points().items()}
    result = run("-c", RESOLVE, json.dumps(groups))
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == f"resolved {sum(map(len, groups.values()))}"


def test_every_registered_name_is_an_entry_point():
    known = {name for names in entry_points().values() for name in names}
    found = set()
    for path in (ROOT / "spacy_semivae").rglob("*.py"):
        for line in path.read_text(encoding="utf8").splitlines():
            if line.startswith("@") and "registry." in line:
                found.add(line.split('"')[1])
    assert found - known == set()
    assert len(found) >= 10


@pytest.mark.parametrize("module", [("spacy", "semivae"), ("spacy_semivae",)])
def test_help_lists_the_commands(module):
    result = run("-m", *module, "--help")
    assert result.returncode == 0, result.stderr
    for command in ("convert", "init-config", "split", "train", "vectors"):
        assert command in result.stdout


def test_the_package_is_light_to_import():
    code = "import sys, spacy_semivae; print('spacy' in sys.modules, 'torch' in sys.modules)"
    assert run("-c", code).stdout.strip() == "False False"
