"""The factories of `vsl_tagger` and `vsl_ner`, with their defaults."""

from collections.abc import Callable
from typing import Any

from spacy.language import Language
from thinc.api import Config, Model

from ..labels import SpanLabels, TokenLabels
from .scorers import TokenScorer
from .vsl import PriorStore, VSLNer, VSLTagger
from .weights import WeightSetting

DEFAULT_CONFIG = Config().from_str(
    """
[kl_weight]
@schedules = "semivae.kl_exponential.v1"
rate = 1e-4

[prior]
@misc = "semivae.MemoryPrior.v1"

[model]
@architectures = "semivae.VSL.v1"
variant = "hier"
normalize = ["digits", "users", "urls"]

[model.tok2vec]
@architectures = "semivae.CharWordBiGRU.v1"
embeddings = "learned"
normalize = ["digits", "users", "urls"]
"""
)
DEFAULTS = {
    "alpha": 0.1,
    "labelled_weight": 0.1,
    "kl_weight": DEFAULT_CONFIG["kl_weight"],
    "prior": DEFAULT_CONFIG["prior"],
    "model": DEFAULT_CONFIG["model"],
    "class_weights": None,
    "logit_adjustment": 0.0,
    "max_grad_norm": 10.0,
    "overwrite": True,
    "store_probabilities": False,
}


@Language.factory(
    "vsl_tagger",
    assigns=["token.tag", "token.pos", "token.morph"],
    default_config={
        "attr": "tag",
        **DEFAULTS,
        "scorer": {"@scorers": "semivae.token_scorer.v1"},
    },
    default_score_weights={"tag_acc": 1.0, "pos_acc": None, "morph_acc": None},
)
def make_vsl_tagger(
    nlp: Language,
    name: str,
    model: Model,
    attr: str,
    alpha: WeightSetting,
    labelled_weight: WeightSetting,
    kl_weight: WeightSetting,
    prior: PriorStore,
    class_weights: dict[str, float] | None,
    logit_adjustment: float,
    max_grad_norm: float,
    overwrite: bool,
    store_probabilities: bool,
    scorer: Callable[..., dict[str, Any]] | None,
) -> VSLTagger:
    """Create a tagger.

    nlp (Language): The pipeline.
    name (str): The component's name.
    model (Model): A `semivae.VSL.v1`.
    attr (str): "tag", "pos" or "morph".
    alpha (WeightSetting): Weight of the raw text's terms.
    labelled_weight (WeightSetting): Weight of the labelled text's variational terms.
    kl_weight (WeightSetting): Weight of the KL within both.
    prior (PriorStore): A `semivae.*Prior.v1`.
    class_weights (dict | None): What the supervised loss of a label counts; 1 for the others.
    logit_adjustment (float): tau; 1 trains for classes that are equally frequent.
    max_grad_norm (float): Joint norm of all gradients at most; 0 for no clipping.
    overwrite (bool): Whether predictions replace annotation that a Doc has.
    store_probabilities (bool): Keep class probabilities in `doc.user_data`.
    scorer (Callable | None): Scores Examples.
    RETURNS (VSLTagger): The component.
    """
    if scorer == TokenScorer(None):
        scorer = TokenScorer(attr)
    return VSLTagger(
        nlp.vocab,
        model,
        name,
        scheme=TokenLabels(attr),
        alpha=alpha,
        labelled_weight=labelled_weight,
        kl_weight=kl_weight,
        prior=prior,
        class_weights=class_weights,
        logit_adjustment=logit_adjustment,
        max_grad_norm=max_grad_norm,
        overwrite=overwrite,
        store_probabilities=store_probabilities,
        scorer=scorer,
    )


@Language.factory(
    "vsl_ner",
    assigns=["doc.ents", "token.ent_iob", "token.ent_type"],
    default_config={
        "incorrect_spans_key": "incorrect_spans",
        **DEFAULTS,
        "scorer": {"@scorers": "spacy.ner_scorer.v1"},
    },
    default_score_weights={"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None},
)
def make_vsl_ner(
    nlp: Language,
    name: str,
    model: Model,
    incorrect_spans_key: str | None,
    alpha: WeightSetting,
    labelled_weight: WeightSetting,
    kl_weight: WeightSetting,
    prior: PriorStore,
    class_weights: dict[str, float] | None,
    logit_adjustment: float,
    max_grad_norm: float,
    overwrite: bool,
    store_probabilities: bool,
    scorer: Callable[..., dict[str, Any]] | None,
) -> VSLNer:
    """Create an entity recognizer; the settings not named here are those of `make_vsl_tagger`.

    incorrect_spans_key (str | None): Span group of rejected spans in the reference Docs.
    overwrite (bool): Whether predictions replace entities that a Doc has.
    RETURNS (VSLNer): The component.
    """
    return VSLNer(
        nlp.vocab,
        model,
        name,
        scheme=SpanLabels(),
        incorrect_spans_key=incorrect_spans_key,
        alpha=alpha,
        labelled_weight=labelled_weight,
        kl_weight=kl_weight,
        prior=prior,
        class_weights=class_weights,
        logit_adjustment=logit_adjustment,
        max_grad_norm=max_grad_norm,
        overwrite=overwrite,
        store_probabilities=store_probabilities,
        scorer=scorer,
    )
