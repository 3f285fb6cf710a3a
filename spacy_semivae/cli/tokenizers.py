"""The tokenizer that a command splits texts with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.util import get_lang_class, load_config


def load_tokenizer(
    lang: str,
    *,
    model: str | None = None,
    config: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Language:
    """Load the tokenizer of a language, of a trained pipeline or of a config.

    lang (str): The language, where there is neither of the others.
    model (str | None): A trained pipeline, which is loaded as a whole.
    config (Path | None): A config; of its components none is made.
    overrides (Mapping | None): Settings by dotted names, instead of those of the config.
    RETURNS (Language): The pipeline.
    RAISES (ValueError, OSError): When two are given, or one cannot be loaded.
    """
    if config is not None and model is not None:
        raise ValueError(f"the tokenizer is that of a config or of a model (got {config}, {model})")
    if overrides and config is None:
        raise ValueError(f"only a config can be overridden (got {', '.join(overrides)})")
    if model is not None:
        return spacy.load(model)
    if config is None:
        return spacy.blank(lang)
    block = load_config(config, overrides=dict(overrides or {})).interpolate()["nlp"]
    lang_class: type[Language] = get_lang_class(block["lang"])
    return lang_class.from_config({"nlp": {**block, "pipeline": []}})
