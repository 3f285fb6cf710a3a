"""Every setting of what is registered stands in a table of its page, with its default."""

import configparser
import inspect
import json
import re
from importlib import import_module
from pathlib import Path

import pytest
from spacy.language import Language

from spacy_semivae.training.schema import Pretraining, SemiVAESchema, WarmStart

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {
    "vsl_tagger": ("vsl.md", "Settings of the components"),
    "vsl_ner": ("vsl.md", "Settings of the components"),
    "crf_vae_tagger": ("crf_vae.md", "Settings of the components"),
    "crf_vae_ner": ("crf_vae.md", "Settings of the components"),
    "ssvae_textcat": ("ssvae.md", "Settings of the component"),
    "semivae.VSL.v1": ("vsl.md", "Model: semivae.VSL.v1"),
    "semivae.CharWordBiGRU.v1": ("vsl.md", "Encoders"),
    "semivae.ConcatEncoders.v1": ("vsl.md", "Encoders"),
    "semivae.CRFVAE.v1": ("crf_vae.md", "Model: semivae.CRFVAE.v1"),
    "semivae.FrozenTransformer.v1": ("crf_vae.md", "Encoders"),
    "semivae.AdaptiveBeta.v1": ("crf_vae.md", "Partly labelled text"),
    "semivae.SSVAE.v1": ("ssvae.md", "Model: semivae.SSVAE.v1"),
    "semivae.Logger.v1": ("training.md", "Logs"),
    "semivae.UnlabeledCorpus.v1": ("registered.md", "Readers"),
    "semivae.MixedCorpus.v1": ("registered.md", "Readers"),
    "semivae.batch_balanced.v1": ("registered.md", "Batches"),
    "semivae.kl_exponential.v1": ("registered.md", "Schedules"),
    "semivae.linear.v1": ("registered.md", "Schedules"),
    "semivae.noam.v1": ("registered.md", "Schedules"),
    "semivae.StandardPrior.v1": ("registered.md", "Priors of a VSL"),
    "semivae.MemoryPrior.v1": ("registered.md", "Priors of a VSL"),
    "semivae.SnapshotPrior.v1": ("registered.md", "Priors of a VSL"),
    "semivae.token_scorer.v1": ("registered.md", "Scorers, loggers, tokenizer"),
    "semivae.ConsoleLogger.v1": ("registered.md", "Scorers, loggers, tokenizer"),
    "semivae.TweetTokenizer.v1": ("registered.md", "Scorers, loggers, tokenizer"),
}
MISSING = object()


def registered():
    """Give every registered function of the package but its commands, by name."""
    parser = configparser.ConfigParser()
    parser.optionxform = str
    parser.read(ROOT / "setup.cfg")
    found = {}
    for group, lines in parser["options.entry_points"].items():
        for line in lines.strip().splitlines() if group != "spacy_cli" else ():
            name, target = line.split(" = ")
            module, function = target.split(":")
            found[name] = getattr(import_module(module), function)
    return found


FUNCTIONS = registered()


def settings_of(name):
    """Give the settings of a function or factory with their defaults."""
    given = inspect.signature(FUNCTIONS[name]).parameters
    defaults = {key: p.default for key, p in given.items()}
    if name in Language.factories or "." not in name:
        defaults = dict.fromkeys(set(given) - {"nlp", "name", "model"}, inspect.Parameter.empty)
        defaults.update(Language.get_factory_meta(name).default_config)
        del defaults["model"]
    return {k: MISSING if v is inspect.Parameter.empty else v for k, v in defaults.items()}


def read_rows(text):
    """Give the settings that tables name, each with the cell of its default where it has one."""
    rows = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        names = re.findall(r"`([\w.]+)`", cells[0]) if line.startswith("|") else []
        values = re.findall(r"`[^`]*`|[^,\s][^,]*", cells[1]) if len(cells) > 2 else []
        values = values if len(values) == len(names) else [None] * len(names)
        for name, value in zip(names, values):
            rows.setdefault(name, []).append(value)
    return rows


def section(page, title):
    text = (DOCS / page).read_text(encoding="utf8")
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2]))
    assert title in found, f"{page} has no section '{title}'"
    return found[title]


def read_value(cell):
    """Read a default that is written as a value; MISSING where it is told in words."""
    try:
        return json.loads(cell.strip("`"))
    except (AttributeError, ValueError):
        return MISSING


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - set(PAGES)))
def test_only_generators_share_a_section(name):
    assert name.endswith("Generator.v1")
    text = section("crf_vae.md", "Generators")
    assert f"`{name}`" in text
    assert_settings(settings_of(name), read_rows(text))


@pytest.mark.parametrize("name", PAGES)
def test_every_setting_stands_in_a_table(name):
    assert name in FUNCTIONS
    text = section(*PAGES[name])
    if "." in name and "Model:" not in PAGES[name][1]:
        assert f"`{name}`" in text
    assert_settings(settings_of(name), read_rows(text))


def assert_settings(settings, rows):
    assert set(settings) - set(rows) == set()
    wrong = {}
    for name, default in settings.items():
        told = [read_value(cell) for cell in rows[name]]
        if default is not MISSING and MISSING not in told and default not in told:
            wrong[name] = told
    assert wrong == {}


def test_defaults_are_read_and_compared():
    rows = read_rows('| `a`, `b` (NER) | 1, `"x"` | text |\n| `c` | words, 500 | text |\n')
    assert rows == {"a": ["1"], "b": ['`"x"`'], "c": [None]}
    assert_settings({"a": 1, "b": "x", "c": 7}, rows)
    for wrong in ({"a": 2}, {"b": "y"}, {"d": 1}):
        with pytest.raises(AssertionError):
            assert_settings(wrong, rows)
    told = [v for page in DOCS.glob("*.md") for v in read_rows(page.read_text()).values()]
    assert sum(read_value(cell) is not MISSING for cells in told for cell in cells) > 80


def test_the_tables_name_no_other_setting():
    known = {setting for name in PAGES if "." not in name for setting in settings_of(name)}
    for name in PAGES:
        page, title = PAGES[name]
        if title.startswith(("Settings", "Model")):
            rows = set(read_rows(section(page, title)))
            found = settings_of(name)
            assert rows - set(found) - (known if "." not in name else set()) == set(), name


@pytest.mark.parametrize(
    ("schema", "prefix", "page", "title"),
    [
        (SemiVAESchema, "", "training.md", "The [semivae] block"),
        (WarmStart, "warm_start.", "training.md", "The [semivae] block"),
        (Pretraining, "", "ssvae.md", "Starting with a language model"),
    ],
)
def test_every_key_of_the_semivae_block_stands_in_a_table(schema, prefix, page, title):
    rows = read_rows((DOCS / page).read_text() if page == "ssvae.md" else section(page, title))
    names = {prefix + name for name in schema.model_fields} - {"warm_start"}
    assert names - set(rows) == set()
