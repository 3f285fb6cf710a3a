"""Registered encoders and models: VSL, CRF-VAE, SSVAE."""

from pathlib import Path
from typing import Any

from spacy.util import registry

from ..layers.cache import make_cache
from ..layers.char_word import EncoderT, char_word_bigru
from ..layers.concat import concat_encoders
from ..layers.crf_vae import CRFVAET, GeneratorSettings, crf_vae_model
from ..layers.ssvae import SSVAET, ssvae_model
from ..layers.texts import TRUNCATIONS
from ..layers.vsl import VSLT, vsl_model
from ..layers.words import check_rules
from ..modules.conditional import VARIANTS
from ..modules.label_samples import check_sampling
from ..modules.vsl import CLASSIFIED, LATENTS

EMBEDDINGS = ("fixed", "tuned", "learned")
POOLINGS = ("mean", "first", "last", "max")


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


@registry.architectures("semivae.FrozenTransformer.v1")
def build_frozen_transformer(
    name: str | Path,
    layer: int = -1,
    pooling: str = "mean",
    window: int = 128,
    stride: int = 96,
    cache: str = "memory",
    cache_mb: float = 1024,
    max_batch_items: int = 4096,
    mixed_precision: bool = False,
) -> EncoderT:
    """Build an encoder from a Hugging Face model that is never trained.

    name (str | Path): A name on the hub or a folder, with weights as safetensors.
    layer (int): The hidden layer read; 0 is the embedding, -1 the last layer.
    pooling (str): "mean", "first", "last" or "max" over a token's pieces.
    window (int): Tokens that the encoder sees at once; longer Docs are cut, not dropped.
    stride (int): Tokens from the start of one window to the next; the rest is overlap.
    cache (str): Where each Doc's vectors are kept: "memory", "none" or a folder.
    cache_mb (float): Megabytes kept at most.
    max_batch_items (int): Tokens, with padding, that the encoder is given in one call.
    mixed_precision (bool): Whether a GPU computes in half precision.
    RETURNS (Model[List[Doc], List[Floats2d]]): The tok2vec layer.
    RAISES (ValueError): When a setting has an unknown value.
    """
    check_choice("pooling", pooling, POOLINGS)
    if not 1 <= stride <= window:
        raise ValueError(f"stride must be from 1 to window = {window}, but got {stride}")
    if max_batch_items < 1:
        raise ValueError(f"max_batch_items must be 1 or more, but got {max_batch_items}")
    # imported late: transformers takes seconds, and most pipelines do without
    from ..layers.frozen_encoder import Reading
    from ..layers.transformer import frozen_transformer

    return frozen_transformer(
        str(name),
        reading=Reading(layer, pooling, window, stride, mixed_precision),
        cache=make_cache(cache, cache_mb),
        max_batch_items=max_batch_items,
    )


@registry.architectures("semivae.CRFVAE.v1")
def build_crf_vae(
    tok2vec: EncoderT,
    generator: GeneratorSettings | None = None,
    spans: bool = True,
    width: int = 300,
    unit: str = "token",
    tokenizer: str | None = None,
    tagger_layers: int = 0,
    tagger_heads: int = 8,
    tagger_hidden: int = 1024,
    dropout: float = 0.0,
    max_targets: int = 8000,
    normalize: list[str] | None = None,
    nO: int | None = None,
) -> CRFVAET:
    """Build a tagging CRF with a generator ("Semi-Supervised NER with CRF-VAEs", section 2).

    tok2vec (Model[List[Doc], List[Floats2d]]): The encoder.
    generator (GeneratorSettings | None): A `semivae.*Generator.v1`; None for the CRF alone.
    spans (bool): Whether tags are BILOU tags of entities; `crf_vae_tagger` sets False.
    width (int): Width of the projection that the CRF reads.
    unit (str): What a tag stands on: "token", or "piece" for word pieces.
    tokenizer (str | None): Whose pieces, where no language model says: a folder or hub name.
    tagger_layers (int): Transformer layers between encoder and CRF (S-LG of section 3.2 has 4).
    tagger_heads (int): Attention heads of each, a divisor of the encoder's width.
    tagger_hidden (int): Hidden units of each.
    dropout (float): Dropout on the encoder's vectors, as for a frozen encoder without its own.
    max_targets (int): Words the generator tells apart at most; all others are one target.
    normalize (list[str] | None): Any of "digits", "users", "urls", for the generator's words.
    nO (int | None): Tags, where known beforehand.
    RETURNS (Model): Docs to distributions, or training batches to loss terms.
    RAISES (ValueError): When settings do not fit.
    """
    check_choice("unit", unit, ("token", "piece"))
    check_rules(normalize or [])
    has_lm = generator is not None and generator.language_model is not None
    if unit == "token" and (has_lm or tokenizer):
        raise ValueError('a language model or a tokenizer needs unit = "piece"')
    if unit == "piece" and has_lm == bool(tokenizer):
        raise ValueError(
            'unit = "piece" needs the tokenizer of a language model or one of its own, not both: '
            f"tokenizer is {tokenizer!r}"
        )
    cfg: dict[str, Any] = {
        "width": width,
        "pieces": unit == "piece",
        "spans": spans,
        "tagger_layers": tagger_layers,
        "tagger_heads": tagger_heads,
        "tagger_hidden": tagger_hidden,
        "dropout": dropout,
    }
    model = crf_vae_model(
        tok2vec,
        generator,
        cfg=cfg,
        max_targets=max_targets,
        normalize=normalize or [],
        tokenizer=tokenizer,
    )
    if nO is not None:
        model.set_dim("nO", nO)
    return model


@registry.architectures("semivae.SSVAE.v1")
def build_ssvae(
    tok2vec: EncoderT | None = None,
    decoder: str | None = "clstm2",
    width: int = 100,
    hidden: int = 128,
    width_z: int = 50,
    width_y: int = 50,
    dropout: float = 0.2,
    marginal: str = "exact",
    samples: int = 2,
    replacement: bool = True,
    baseline: str = "mean",
    length_normalize: bool | None = None,
    max_words: int = 5000,
    max_length: int = 400,
    truncation: str = "first",
    normalize: list[str] | None = None,
    nO: int | None = None,
) -> SSVAET:
    """Build a text classifier inside a sequence VAE (Xu et al. 2017).

    tok2vec (Model[List[Doc], List[Floats2d]] | None): What the classifier reads, pooled by the mean
        over tokens; None for an LSTM of its own.
    decoder (str | None): "vanilla", "clstm1" or "clstm2"; None for the classifier alone.
    width (int): Width of a word embedding.
    hidden (int): Units of every LSTM and hidden layer.
    width_z (int): Width of the latent.
    width_y (int): Width of a label's embedding.
    dropout (float): Share of values set to zero around LSTMs and hidden layers, in training.
    marginal (str): "exact" looks at a raw text under every label, "sample" under drawn ones.
    samples (int): Labels drawn for each raw text.
    replacement (bool): Whether draws are independent; else labels are distinct.
    baseline (str): "none", "length" (the paper's S1), "mean" (S2) or "leave_one_out".
    length_normalize (bool | None): Whether L(x, y) is divided by the words of x; None for the
        paper's: with draws and the baseline "length".
    max_words (int): Words told apart at most; all others are one unknown word.
    max_length (int): Tokens read of a Doc at most; 0 for all.
    truncation (str): Which tokens of a longer Doc: "first", "first_last" (half from each end) or
        "random_crop" (consecutive ones, at another place each time; predicting takes the first).
    normalize (list[str] | None): Any of "digits", "users", "urls".
    nO (int | None): Classes, where known beforehand.
    RETURNS (Model): Docs to scores, or training batches to loss terms.
    RAISES (ValueError): When settings do not fit.
    """
    if decoder is not None:
        check_choice("decoder", decoder, VARIANTS)
    check_choice("truncation", truncation, TRUNCATIONS)
    check_sampling(marginal, samples, replacement, baseline)
    check_rules(normalize or [])
    if max_length < 0:
        raise ValueError(f"max_length is 0 for all tokens or positive, but got {max_length}")
    if length_normalize is None:
        length_normalize = marginal == "sample" and baseline == "length"
    cfg: dict[str, Any] = {
        "generator": decoder is not None,
        "decoder": decoder or VARIANTS[0],
        "width": width,
        "hidden": hidden,
        "width_z": width_z,
        "width_y": width_y,
        "dropout": dropout,
        "marginal": marginal,
        "samples": samples,
        "replacement": replacement,
        "baseline": baseline,
        "length_normalize": length_normalize,
    }
    model = ssvae_model(
        tok2vec,
        cfg=cfg,
        max_words=max_words,
        max_length=max_length,
        truncation=truncation,
        normalize=normalize or [],
    )
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
