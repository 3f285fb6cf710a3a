"""Registered model builders: they check settings and compose layers, nothing else."""

from typing import Any

from spacy.util import registry

from .layers.char_word import EncoderT, char_word_bigru
from .layers.concat import concat_encoders
from .layers.vsl import VSLT, vsl_model
from .layers.words import check_rules
from .modules.vsl import CLASSIFIED, LATENTS

EMBEDDINGS = ("fixed", "tuned", "learned")


@registry.architectures("semivae.CharWordBiGRU.v1")
def build_char_word_bigru(
    width: int = 100,
    char_width: int = 50,
    char_hidden: int = 100,
    hidden: int = 100,
    embeddings: str = "learned",
    min_count: int = 2,
    normalize: list[str] | None = None,
) -> EncoderT:
    """Build the papers' encoder (Chen et al. 2018, section 3.3).

    width (int): Width of learned word embeddings; static vectors bring their own.
    char_width (int): Width of a character embedding.
    char_hidden (int): Units of the character GRU in each direction.
    hidden (int): Units of the word GRU in each direction.
    embeddings (str): "fixed" static vectors, "tuned" static vectors, or "learned" without any.
    min_count (int): Occurrences a word needs for an embedding of its own (tuned, learned).
    normalize (list[str] | None): Any of "digits", "users", "urls"; None for none.
    RETURNS (Model[List[Doc], List[Floats2d]]): The tok2vec layer.
    RAISES (ValueError): When a setting has an unknown value.
    """
    check_choice("embeddings", embeddings, EMBEDDINGS)
    check_rules(normalize or [])
    return char_word_bigru(
        width=width,
        char_width=char_width,
        char_hidden=char_hidden,
        hidden=hidden,
        embeddings=embeddings,
        min_count=min_count,
        normalize=normalize or [],
    )


@registry.architectures("semivae.ConcatEncoders.v1")
def build_concat_encoders(encoders: dict[str, Any]) -> EncoderT:  # blocks are typed once resolved
    """Build several encoders side by side.

    encoders (dict[str, Model]): Sub-blocks of any names, each a tok2vec architecture or listener.
    RETURNS (Model[List[Doc], List[Floats2d]]): The tok2vec layer.
    """
    return concat_encoders(list(encoders.values()))


@registry.architectures("semivae.VSL.v1")
def build_vsl(
    tok2vec: EncoderT,
    variant: str = "hier",
    classifier_on: str | None = None,
    width_y: int = 25,
    width_z: int = 50,
    hidden: int = 100,
    width: int = 100,
    max_targets: int = 5000,
    variational: bool = True,
    decoder_noise: float = 0.0,
    reconstruct_unk: bool = True,
    normalize: list[str] | None = None,
    nO: int | None = None,
) -> VSLT:
    """Build a variational sequential labeler (Chen et al. 2018, section 3.2).

    tok2vec (Model[List[Doc], List[Floats2d]]): The encoder.
    variant (str): "baseline", "g", "flat" or "hier".
    classifier_on (str | None): The latent the classifier reads, "y" or "z"; None for the paper's.
    width_y (int): Width of the label latent.
    width_z (int): Width of the word latent.
    hidden (int): Units of the decoder's two hidden layers.
    width (int): Width of the decoder's own output matrix; static vectors bring theirs.
    max_targets (int): Words the decoder tells apart at most; all others are one target.
    variational (bool): False for latents without sampling and KL (the paper's "no VR").
    decoder_noise (float): Standard deviation of noise on the predicted embedding, in training.
    reconstruct_unk (bool): Whether unknown words have a reconstruction term.
    normalize (list[str] | None): Any of "digits", "users", "urls", for the decoder's targets.
    nO (int | None): Classes, where known beforehand.
    RETURNS (Model): Docs to scores, or training batches to loss terms.
    RAISES (ValueError): When a setting has an unknown value.
    """
    check_choice("variant", variant, LATENTS)
    latents = LATENTS[variant] or ("h",)
    classifier_on = classifier_on or CLASSIFIED[variant]
    check_choice(f"classifier_on of variant '{variant}'", classifier_on, latents)
    check_rules(normalize or [])
    cfg: dict[str, Any] = {
        "variant": variant,
        "classifier_on": classifier_on,
        "width_y": width_y,
        "width_z": width_z,
        "hidden": hidden,
        "width": width,
        "variational": variational,
        "decoder_noise": decoder_noise,
        "reconstruct_unk": reconstruct_unk,
    }
    model = vsl_model(tok2vec, cfg=cfg, max_targets=max_targets, normalize=normalize or [])
    if nO is not None:
        model.set_dim("nO", nO)
    return model


def check_choice(name: str, value: str, allowed: Any) -> None:
    """Refuse an unknown value.

    name (str): The setting.
    value (str): What was given.
    allowed (Iterable[str]): What may be given.
    RAISES (ValueError): When the value is not allowed.
    """
    if value not in allowed:
        raise ValueError(f"{name} must be one of {list(allowed)}, but got {value!r}")
