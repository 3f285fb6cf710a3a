"""The factories of `crf_vae_tagger` and `crf_vae_ner`, with their defaults."""

from collections.abc import Callable
from typing import Any

from spacy.language import Language
from thinc.api import Config, Model

from ..labels import SpanLabels, TokenLabels
from .adaptive import AdaptiveBeta
from .crf_vae import CRFVAETagger
from .crf_vae_ner import CRFVAENer
from .scorers import TokenScorer
from .tag_prior import PriorSetting
from .weights import WeightSetting

DEFAULT_CONFIG = Config().from_str(
    """
[beta]
@misc = "semivae.AdaptiveBeta.v1"

[model]
@architectures = "semivae.CRFVAE.v1"
normalize = ["digits", "users", "urls"]

[model.generator]
@architectures = "semivae.MTGenerator.v1"

[model.tok2vec]
@architectures = "semivae.CharWordBiGRU.v1"
embeddings = "learned"
normalize = ["digits", "users", "urls"]
"""
)
DEFAULTS = {
    "alpha": 0.1,
    "temperature": 0.66,
    "generator_weight": 0.1,
    "prior": "auto",
    "model": DEFAULT_CONFIG["model"],
    "class_weights": None,
    "logit_adjustment": 0.0,
    "max_grad_norm": 5.0,
    "overwrite": True,
    "store_probabilities": False,
}


@Language.factory(
    "crf_vae_tagger",
    assigns=["token.tag", "token.pos", "token.morph"],
    default_config={
        "attr": "tag",
        **DEFAULTS,
        "beta": 0.01,
        "model": {**DEFAULT_CONFIG["model"], "spans": False},
        "scorer": {"@scorers": "semivae.token_scorer.v1"},
    },
    default_score_weights={"tag_acc": 1.0, "pos_acc": None, "morph_acc": None},
)
def make_crf_vae_tagger(
    nlp: Language,
    name: str,
    model: Model,
    attr: str,
    alpha: WeightSetting,
    beta: WeightSetting,
    temperature: WeightSetting,
    generator_weight: WeightSetting,
    prior: PriorSetting,
    class_weights: dict[str, float] | None,
    logit_adjustment: float,
    max_grad_norm: float,
    overwrite: bool,
    store_probabilities: bool,
    scorer: Callable[..., dict[str, Any]] | None,
) -> CRFVAETagger:
    """Create a tagger.

    nlp (Language): The pipeline.
    name (str): The component's name.
    model (Model): A `semivae.CRFVAE.v1` with `spans = false`.
    attr (str): "tag", "pos" or "morph".
    alpha (WeightSetting): Weight of the terms of Docs that are not annotated in full.
    beta (WeightSetting): Weight of the KL within these.
    temperature (WeightSetting): Temperature of relaxed samples.
    generator_weight (WeightSetting): Weight of the generator's loss on annotated tags.
    prior (PriorSetting): "empirical" (Docs annotated in full), "simple" (uniform), "auto" (the
        first where there are such Docs, else the second) or probabilities by tag.
    class_weights (dict | None): What the supervised loss of a label counts; 1 for the others.
    logit_adjustment (float): tau; 1 trains for classes that are equally frequent.
    max_grad_norm (float): Joint norm of all gradients at most; 0 for no clipping.
    overwrite (bool): Whether predictions replace annotation that a Doc has.
    store_probabilities (bool): Keep marginals in `doc.user_data`.
    scorer (Callable | None): Scores Examples.
    RETURNS (CRFVAETagger): The component.
    RAISES (ValueError): For an adaptive beta, which follows a tag O, and for a model of spans.
    """
    if isinstance(beta, AdaptiveBeta):
        raise ValueError("semivae.AdaptiveBeta.v1 follows the share of O: a tagger has no such tag")
    if scorer == TokenScorer(None):
        scorer = TokenScorer(attr)
    check_spans(model, name, spans=False)
    return CRFVAETagger(
        nlp.vocab,
        model,
        name,
        scheme=TokenLabels(attr),
        alpha=alpha,
        beta=beta,
        temperature=temperature,
        generator_weight=generator_weight,
        prior=prior,
        class_weights=class_weights,
        logit_adjustment=logit_adjustment,
        max_grad_norm=max_grad_norm,
        overwrite=overwrite,
        store_probabilities=store_probabilities,
        scorer=scorer,
    )


@Language.factory(
    "crf_vae_ner",
    assigns=["doc.ents", "token.ent_iob", "token.ent_type", "doc.spans"],
    default_config={
        **DEFAULTS,
        "beta": DEFAULT_CONFIG["beta"],
        "entity_ratio": 0.0,
        "entity_ratio_target": 0.15,
        "entity_ratio_margin": 0.05,
        "incorrect_spans_key": "incorrect_spans",
        "spans_key": None,
        "threshold": None,
        "scorer": {"@scorers": "spacy.ner_scorer.v1"},
    },
    default_score_weights={"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None},
)
def make_crf_vae_ner(
    nlp: Language,
    name: str,
    model: Model,
    alpha: WeightSetting,
    beta: WeightSetting | AdaptiveBeta,
    temperature: WeightSetting,
    generator_weight: WeightSetting,
    prior: PriorSetting,
    entity_ratio: WeightSetting,
    entity_ratio_target: float,
    entity_ratio_margin: float,
    incorrect_spans_key: str | None,
    spans_key: str | None,
    threshold: float | None,
    class_weights: dict[str, float] | None,
    logit_adjustment: float,
    max_grad_norm: float,
    overwrite: bool,
    store_probabilities: bool,
    scorer: Callable[..., dict[str, Any]] | None,
) -> CRFVAENer:
    """Create an entity recognizer; the settings not named here are those of the tagger.

    model (Model): A `semivae.CRFVAE.v1`.
    beta (WeightSetting | AdaptiveBeta): Weight of the KL, or how it adapts.
    prior (PriorSetting): "empirical" (Docs annotated in full), "simple" (half on O), "auto" (the
        first where there are such Docs, else what `entity_ratio_target` leaves on O) or
        probabilities by BILOU tag.
    entity_ratio (WeightSetting): Weight of the expected entity ratio (Effland and Collins, 2021).
    entity_ratio_target (float): Share of tokens that stand in entities.
    entity_ratio_margin (float): How far the share may be off.
    incorrect_spans_key (str | None): Span group of rejected spans in the reference Docs.
    spans_key (str | None): Span group that gets spans and `attrs["scores"]`; None is the name.
    threshold (float | None): Put every span above this probability there; None for the best path's.
    overwrite (bool): Whether predictions replace entities that a Doc has.
    RETURNS (CRFVAENer): The component.
    RAISES (ValueError): For settings that do not fit.
    """
    check_spans(model, name, spans=True)
    return CRFVAENer(
        nlp.vocab,
        model,
        name,
        scheme=SpanLabels(),
        alpha=alpha,
        beta=beta,
        temperature=temperature,
        generator_weight=generator_weight,
        prior=prior,
        entity_ratio=entity_ratio,
        entity_ratio_target=entity_ratio_target,
        entity_ratio_margin=entity_ratio_margin,
        incorrect_spans_key=incorrect_spans_key,
        spans_key=spans_key,
        threshold=threshold,
        class_weights=class_weights,
        logit_adjustment=logit_adjustment,
        max_grad_norm=max_grad_norm,
        overwrite=overwrite,
        store_probabilities=store_probabilities,
        scorer=scorer,
    )


def check_spans(model: Model, name: str, *, spans: bool) -> None:
    """Refuse a model for the other kind of tags.

    model (Model): A `semivae.CRFVAE.v1`.
    name (str): The component's name.
    spans (bool): Whether its tags are those of entities.
    RAISES (ValueError): When the model's setting differs.
    """
    if model.shims[0].cfg["spans"] != spans:  # type: ignore[attr-defined]
        raise ValueError(f"Component '{name}' needs a model with spans = {str(spans).lower()}")
