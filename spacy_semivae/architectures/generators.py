"""Registered generators of the CRF-VAE: what reconstructs the text from its tags.

Each is a sub-block `[components.<name>.model.generator]`. Paper: "Semi-Supervised Named Entity
Recognition with CRF-VAEs", section 2.4; the mathematics is in `modules.generators`.
"""

from typing import Any

from spacy.util import registry

from ..layers.crf_vae import GeneratorSettings
from ..layers.language_model import causal_lm
from .models import check_choice


@registry.architectures("semivae.FactoredGenerator.v1")
def build_factored(objective: str = "exact") -> GeneratorSettings:
    """Describe the CRF autoencoder's generator: a free logit for each word and tag.

    objective (str): "exact" sums over all tag paths (the paper's AE-Exact), "relaxed" takes a
        relaxed sample (AE-Approx).
    RETURNS (GeneratorSettings): The generator.
    RAISES (ValueError): When the objective is unknown.
    """
    check_choice("objective", objective, ("exact", "relaxed"))
    return GeneratorSettings({"name": "factored"}, objective=objective)


@registry.architectures("semivae.MFGenerator.v1")
def build_mf(width: int = 300) -> GeneratorSettings:
    """Describe the factored generator of low rank: a word from the embedding of its tag.

    width (int): Width of tag and word embeddings.
    RETURNS (GeneratorSettings): The generator.
    """
    return GeneratorSettings({"name": "mf", "width": width})


@registry.architectures("semivae.MTGenerator.v1")
def build_mt(
    width: int = 300, layers: int = 2, heads: int = 4, hidden: int = 1200, dropout: float = 0.1
) -> GeneratorSettings:
    """Describe the transformer generator: a word from all tags of its Doc.

    width (int): Width of tag and word embeddings.
    layers (int): Layers of the transformer.
    heads (int): Attention heads of each, a divisor of the width.
    hidden (int): Hidden units of each.
    dropout (float): Dropout inside the transformer.
    RETURNS (GeneratorSettings): The generator.
    RAISES (ValueError): When the heads do not divide the width.
    """
    return describe("mt", width, layers, heads, hidden, dropout)


@registry.architectures("semivae.MFLMGenerator.v1")
def build_mf_lm(
    name: str,
    width: int = 300,
    scale: bool = True,
    window: int | None = None,
    cache: str = "memory",
    cache_mb: float = 1024,
) -> GeneratorSettings:
    """Describe MF with the logits of a frozen causal language model; units are its pieces.

    name (str): The language model: a folder or a name on the Hugging Face hub.
    width (int): Width of tag and piece embeddings.
    scale (bool): Divide both logits by the root of their widths.
    window (int | None): Pieces read at once; None for as many as the model has positions.
    cache (str): Where the model's states are kept: "memory", "none" or a folder.
    cache_mb (float): Megabytes kept at most.
    RETURNS (GeneratorSettings): The generator.
    """
    cfg = {"name": "mf_lm", "width": width, "scale": scale}
    return GeneratorSettings(
        cfg, language_model=causal_lm(name, window=window, cache=cache, cache_mb=cache_mb)
    )


@registry.architectures("semivae.MTLMGenerator.v1")
def build_mt_lm(
    name: str,
    width: int = 300,
    layers: int = 2,
    heads: int = 4,
    hidden: int = 1200,
    dropout: float = 0.1,
    scale: bool = True,
    window: int | None = None,
    cache: str = "memory",
    cache_mb: float = 1024,
) -> GeneratorSettings:
    """Describe MT with the logits of a frozen causal language model; units are its pieces.

    name (str): The language model: a folder or a name on the Hugging Face hub.
    width (int): Width of tag and piece embeddings.
    layers (int): Layers of the transformer over tags.
    heads (int): Attention heads of each, a divisor of the width.
    hidden (int): Hidden units of each.
    dropout (float): Dropout inside the transformer.
    scale (bool): Divide both logits by the root of their widths; False is the no-scale row.
    window (int | None): Pieces read at once; None for as many as the model has positions.
    cache (str): Where the model's states are kept: "memory", "none" or a folder.
    cache_mb (float): Megabytes kept at most.
    RETURNS (GeneratorSettings): The generator.
    RAISES (ValueError): When the heads do not divide the width.
    """
    lm = causal_lm(name, window=window, cache=cache, cache_mb=cache_mb)
    return describe("mt_lm", width, layers, heads, hidden, dropout, lm=lm, scale=scale)


@registry.architectures("semivae.MTPoEGenerator.v1")
def build_mt_lm_poe(
    name: str,
    width: int = 300,
    layers: int = 2,
    heads: int = 4,
    hidden: int = 1200,
    dropout: float = 0.1,
    window: int | None = None,
    cache: str = "memory",
    cache_mb: float = 1024,
) -> GeneratorSettings:
    """Describe the product of the experts MT and language model; it equals MTLM without scale.

    name (str): The language model: a folder or a name on the Hugging Face hub.
    width (int): Width of tag and piece embeddings.
    layers (int): Layers of the transformer over tags.
    heads (int): Attention heads of each, a divisor of the width.
    hidden (int): Hidden units of each.
    dropout (float): Dropout inside the transformer.
    window (int | None): Pieces read at once; None for as many as the model has positions.
    cache (str): Where the model's states are kept: "memory", "none" or a folder.
    cache_mb (float): Megabytes kept at most.
    RETURNS (GeneratorSettings): The generator.
    RAISES (ValueError): When the heads do not divide the width.
    """
    lm = causal_lm(name, window=window, cache=cache, cache_mb=cache_mb)
    return describe("mt_lm_poe", width, layers, heads, hidden, dropout, lm=lm)


@registry.architectures("semivae.MTResidualGenerator.v1")
def build_mt_lm_residual(
    name: str,
    width: int = 300,
    layers: int = 2,
    heads: int = 4,
    hidden: int = 1200,
    dropout: float = 0.1,
    window: int | None = None,
    cache: str = "memory",
    cache_mb: float = 1024,
) -> GeneratorSettings:
    """Describe the language model with states moved by a network that reads the tags.

    name (str): The language model: a folder or a name on the Hugging Face hub.
    width (int): Width of tag and piece embeddings.
    layers (int): Layers of the transformer over tags.
    heads (int): Attention heads of each, a divisor of the width.
    hidden (int): Hidden units of each.
    dropout (float): Dropout inside the transformer.
    window (int | None): Pieces read at once; None for as many as the model has positions.
    cache (str): Where the model's states are kept: "memory", "none" or a folder.
    cache_mb (float): Megabytes kept at most.
    RETURNS (GeneratorSettings): The generator.
    RAISES (ValueError): When the heads do not divide the width.
    """
    lm = causal_lm(name, window=window, cache=cache, cache_mb=cache_mb)
    return describe("mt_lm_residual", width, layers, heads, hidden, dropout, lm=lm)


def describe(
    kind: str,
    width: int,
    layers: int,
    heads: int,
    hidden: int,
    dropout: float,
    *,
    lm: Any = None,
    **settings: Any,
) -> GeneratorSettings:
    """Describe a generator with a transformer.

    kind (str): Its name in `modules.generators`.
    width (int): Width of tag and word embeddings.
    layers (int): Layers of the transformer.
    heads (int): Attention heads of each.
    hidden (int): Hidden units of each.
    dropout (float): Dropout inside the transformer.
    lm (Model | None): A causal language model.
    settings (Any): Further settings.
    RETURNS (GeneratorSettings): The generator.
    RAISES (ValueError): When the heads do not divide the width.
    """
    if heads < 1 or width % heads:
        raise ValueError(f"heads must divide width = {width}, but got {heads}")
    cfg = {"name": kind, "width": width, "layers": layers, "heads": heads, "hidden": hidden}
    return GeneratorSettings({**cfg, "dropout": dropout, **settings}, language_model=lm)
