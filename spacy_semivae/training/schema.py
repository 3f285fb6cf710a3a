"""The [semivae] block of a config, and the checks of others that spaCy leaves out."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, field_validator
from spacy.schemas import ConfigSchemaTraining
from spacy.util import registry
from thinc.api import Config, Optimizer

DEFAULT_BATCHER = {
    "@batchers": "spacy.batch_by_words.v1",
    "size": 500,
    "tolerance": 0.2,
    "discard_oversize": False,
}
DEFAULT_PRETRAINING: dict[str, Any] = {
    "max_epochs": 5,
    "dropout": 0.2,
    "autoencoder": False,
    "heldout": 20,
    "max_grad_norm": 5.0,
    "batcher": {"@batchers": "spacy.batch_by_sequence.v1", "size": 32},
    "optimizer": {
        "@optimizers": "Adam.v1",
        "learn_rate": 0.004,
        "L2": 0.0,
        "grad_clip": 0.0,
        "use_averages": False,
    },
}


class WarmStart(BaseModel):
    """The [semivae.warm_start] block: what a trained pipeline hands on (VSL section 6.4)."""

    model_config = ConfigDict(extra="forbid")

    path: str | None = Field(None, title="A trained pipeline; none where null")
    prior: StrictBool = Field(True, title="Start the priors at its posteriors")
    weights: StrictBool = Field(False, title="Start at its weights too")


class Pretraining(BaseModel):
    """The [semivae.pretraining] block: the language model that starts a text classifier."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    component: str | None = Field(None, title="The ssvae_textcat to start; null for the only one")
    max_epochs: int = Field(..., title="Passes over the raw corpus", ge=1)
    dropout: float = Field(..., title="Dropout", ge=0, lt=1)
    autoencoder: StrictBool = Field(..., title="Read the text before writing it again")
    heldout: int = Field(..., title="Every n-th raw text measures the perplexity", ge=2)
    max_grad_norm: float = Field(..., title="Joint norm of all gradients at most", ge=0)
    batcher: Callable[..., Any] = Field(..., title="Batches of raw Docs")
    optimizer: Optimizer = Field(..., title="The optimizer, without averages")

    @field_validator("optimizer")
    @classmethod
    def check_averages(cls, optimizer: Optimizer) -> Optimizer:
        """Refuse averages of weights, which would not be those that are saved.

        optimizer (Optimizer): The optimizer.
        RETURNS (Optimizer): The same.
        RAISES (ValueError): When it keeps averages.
        """
        if optimizer.averages is not None:
            raise ValueError("pretraining keeps no averages: set use_averages to false")
        return optimizer


class SemiVAESchema(BaseModel):
    """The [semivae] block."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    unlabeled_corpus: str | None = Field(..., title="Dotted name of the raw corpus; null for none")
    init_unlabeled: int = Field(10000, title="Raw Docs that initialize sees", ge=0)
    checkpoint_every: int = Field(1000, title="Steps from one checkpoint to the next", ge=0)
    keep_checkpoints: int = Field(2, title="Checkpoints that stay", ge=1)
    batcher: Callable[..., Any] = Field(..., title="Batches of raw Docs")
    mixed_precision: StrictBool = Field(False, title="Networks in bfloat16 while training")
    warm_start: WarmStart = Field(default_factory=WarmStart)
    pretraining: Pretraining


def resolve_semivae(config: Config) -> SemiVAESchema:
    """Read the [semivae] block.

    config (Config): The whole config, interpolated.
    RETURNS (SemiVAESchema): The settings, functions resolved.
    RAISES (ValueError): When the block is missing or has an unknown, missing or wrong key.
    """
    if "semivae" not in config:
        raise ValueError(
            "The config has no [semivae] block: `spacy semivae init-config` writes one, and "
            "`spacy train` trains without it"
        )
    block = dict(config["semivae"])
    block["batcher"] = block.get("batcher") or DEFAULT_BATCHER
    block["pretraining"] = complete_pretraining(block)
    try:
        return SemiVAESchema(**registry.resolve(block))
    except ValidationError as error:
        found = [f"semivae.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ValueError(f"Wrong settings in [semivae]: {'; '.join(found)}") from None


def complete_pretraining(block: dict[str, Any]) -> Config:
    """Put defaults where the [semivae.pretraining] block has nothing.

    block (dict): The [semivae] block.
    RETURNS (Config): The complete block, functions not resolved.
    """
    return Config(DEFAULT_PRETRAINING).merge(block.get("pretraining") or {})


def check_training_keys(config: Config) -> None:
    """Refuse keys of [training] that spaCy would drop without a word.

    config (Config): The whole config.
    RAISES (ValueError): Naming the unknown keys.
    """
    unknown = sorted(set(config["training"]) - set(ConfigSchemaTraining.model_fields))
    if unknown:
        names = ", ".join(f"training.{name}" for name in unknown)
        raise ValueError(f"Unknown settings in [training]: {names}")


def check_paths(config: Config) -> None:
    """Refuse corpora whose path is not set, by name; spaCy does not say which one it is.

    config (Config): The whole config, interpolated.
    RAISES (ValueError): Naming the corpus.
    """
    for name, block in config.get("corpora", {}).items():
        if block.get("@readers") == "spacy.Corpus.v1" and block.get("path") is None:
            raise ValueError(
                f"[corpora.{name}] needs a path: set paths.{name}, or corpora.{name}.path"
            )
