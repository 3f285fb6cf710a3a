"""The factory of `ssvae_textcat`, with its defaults."""

from collections.abc import Callable
from typing import Any

from spacy.language import Language
from thinc.api import Config, Model

from .ssvae import SSVAETextcat
from .tag_prior import PriorSetting
from .text_labels import TextLabels
from .weights import WeightSetting

DEFAULT_CONFIG = Config().from_str(
    """
[alpha]
@schedules = "semivae.linear.v1"
start = 1.0
end = 2.0
steps = 2000

[kl_weight]
@schedules = "semivae.linear.v1"
start = 0.0
end = 1.0
steps = 2000

[word_dropout]
@schedules = "semivae.linear.v1"
start = 0.25
end = 0.5
steps = 2000

[model]
@architectures = "semivae.SSVAE.v1"
normalize = ["users", "urls"]
"""
)


@Language.factory(
    "ssvae_textcat",
    assigns=["doc.cats"],
    default_config={
        **DEFAULT_CONFIG,
        "prior": "uniform",
        "threshold": 0.0,
        "discrimination_docs": 200,
        "class_weights": None,
        "logit_adjustment": 0.0,
        "max_grad_norm": 5.0,
        "overwrite": True,
        "scorer": {"@scorers": "spacy.textcat_scorer.v2"},
    },
    default_score_weights={
        "cats_score": 1.0,
        "cats_score_desc": None,
        "cats_micro_p": None,
        "cats_micro_r": None,
        "cats_micro_f": None,
        "cats_macro_p": None,
        "cats_macro_r": None,
        "cats_macro_f": None,
        "cats_macro_auc": None,
        "cats_f_per_type": None,
        "cats_discrimination": 0.0,
        "cats_unit_kl": None,
    },
)
def make_ssvae_textcat(
    nlp: Language,
    name: str,
    model: Model,
    alpha: WeightSetting,
    kl_weight: WeightSetting,
    word_dropout: WeightSetting,
    prior: PriorSetting,
    threshold: float,
    discrimination_docs: int,
    class_weights: dict[str, float] | None,
    logit_adjustment: float,
    max_grad_norm: float,
    overwrite: bool,
    scorer: Callable[..., dict[str, Any]] | None,
) -> SSVAETextcat:
    """Create a text classifier.

    nlp (Language): The pipeline.
    name (str): The component's name.
    model (Model): A `semivae.SSVAE.v1`.
    alpha (WeightSetting): Weight of the classification.
    kl_weight (WeightSetting): Weight of the KL.
    word_dropout (WeightSetting): Share of the decoder's inputs that are hidden, in training.
    prior (PriorSetting): p(y): "uniform", or probabilities by label.
    threshold (float): Handed to the scorer; of exclusive classes spaCy's takes the best one.
    discrimination_docs (int): Labelled Docs on which evaluation looks at the generator; 0 for none.
    class_weights (dict | None): What the supervised loss of a label counts; 1 for the others.
    logit_adjustment (float): tau; 1 trains for classes that are equally frequent.
    max_grad_norm (float): Joint norm of all gradients at most; 0 for no clipping.
    overwrite (bool): Whether predictions replace cats that a Doc has.
    scorer (Callable | None): Scores Examples.
    RETURNS (SSVAETextcat): The component.
    """
    return SSVAETextcat(
        nlp.vocab,
        model,
        name,
        scheme=TextLabels(),
        alpha=alpha,
        kl_weight=kl_weight,
        word_dropout=word_dropout,
        prior=prior,
        threshold=threshold,
        discrimination_docs=discrimination_docs,
        class_weights=class_weights,
        logit_adjustment=logit_adjustment,
        max_grad_norm=max_grad_norm,
        overwrite=overwrite,
        store_probabilities=False,
        scorer=scorer,
    )
