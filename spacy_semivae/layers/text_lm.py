"""A language model as a Thinc model over word ids, its folder, and how it starts a classifier."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import srsly
import torch
from safetensors.torch import load_file, save
from thinc.api import Model

from ..modules.precision import no_autocast
from ..modules.text_lm import TextLM
from .loading import check_files, reading, write_checksums
from .shim import TorchShim
from .texts import SPECIAL, Excerpts, make_texts

TextLMT = Model[Excerpts, float]
FILES = SETTINGS, WORDS, WEIGHTS = "settings.json", "words.json", "weights.safetensors"
MODEL_BEST = "model-best"


def text_lm(reader: Model[Any, Any], *, dropout: float, autoencoder: bool) -> TextLMT:
    """Build a language model that starts a text classifier; its weights are new.

    reader (Model): An SSVAE whose vocabulary is chosen: it gives the words and the sizes.
    dropout (float): Dropout, in training.
    autoencoder (bool): Whether it reads the text before it writes it.
    RETURNS (Model): Excerpts to the mean of -log p of their words, in nats.
    """
    known: Any = reader.shims[0].cfg  # type: ignore[attr-defined]
    words = list(reader.attrs["targets"])
    cfg = {
        "nV": len(words) + SPECIAL,
        "width": known["width"],
        "hidden": known["hidden"],
        "dropout": dropout,
        "autoencoder": autoencoder,
    }
    model = build(cfg, words, reader.attrs["normalize"])
    model.shims[0].initialize()  # type: ignore[attr-defined]
    return model


def build(cfg: dict[str, Any], words: list[str], normalize: list[str]) -> TextLMT:
    """Put a language model that has no weights yet into a Thinc model.

    cfg (dict): Settings of `modules.text_lm.TextLM`.
    words (list[str]): Its vocabulary.
    normalize (list[str]): Rules by which words are looked up.
    RETURNS (Model): The model.
    """
    return Model(
        "text_lm",
        forward,
        attrs={"targets": words, "normalize": list(normalize)},
        shims=[TorchShim(TextLM, cfg)],
    )


def forward(
    model: TextLMT, X: Excerpts, is_train: bool
) -> tuple[float, Callable[[float], Excerpts]]:
    """Measure the mean of -log p; `backprop` takes its weight."""
    shim: Any = model.shims[0]
    module = shim.module.train(is_train)
    with torch.set_grad_enabled(is_train):
        loss = module(make_texts(X, torch.zeros((0, 0), device=shim.device))).mean()

    def backprop(weight: float) -> Excerpts:
        with no_autocast():
            (weight * loss).backward()
        return X

    return float(loss.detach()), backprop


def take_words(lm: TextLMT, model: Model[Any, Any]) -> None:
    """Give an SSVAE the words of a language model, before it is initialized.

    lm (Model): The language model.
    model (Model): The SSVAE, changed in place.
    RAISES (ValueError): When it looks words up by other rules.
    """
    before, now = lm.attrs["normalize"], model.attrs["normalize"]
    if before != now:
        raise ValueError(
            f"the language model was trained with normalize = {before}, but the classifier has "
            f"{now}"
        )
    model.attrs["targets"] = list(lm.attrs["targets"])
    model.attrs["target_words"] = None


def start_classifier(lm: TextLMT, model: Model[Any, Any], *, encoder: bool) -> None:
    """Copy embedding and LSTM to an initialized SSVAE.

    lm (Model): The language model.
    model (Model): The SSVAE, with the same words; changed in place.
    encoder (bool): Whether the LSTM of its autoencoder starts with the same weights.
    RAISES (ValueError): When a table or LSTM has another size, or nothing is to be started.
    """
    source: Any = lm.shims[0]
    target: Any = model.shims[0]
    if target.module.embedding is None:
        raise ValueError(
            "a language model starts the embedding of words, but this classifier has none: it "
            "reads a tok2vec and has no decoder"
        )
    source.module.start(target.module, encoder=encoder)
    target.version += 1


def save_text_lm(model: TextLMT, folder: Path) -> None:
    """Write weights, words and settings.

    model (Model): The language model.
    folder (Path): An existing folder.
    """
    shim: Any = model.shims[0]
    srsly.write_json(folder / SETTINGS, {"model": shim.cfg, "normalize": model.attrs["normalize"]})
    srsly.write_json(folder / WORDS, model.attrs["targets"])
    state = {name: t.detach().cpu().contiguous() for name, t in shim.module.state_dict().items()}
    (folder / WEIGHTS).write_bytes(save(state))
    write_checksums(folder, FILES)


def load_text_lm(path: Path) -> TextLMT:
    """Read what `save_text_lm` wrote; no random number is drawn.

    path (Path): The folder, or the one that `spacy semivae pretrain` wrote: its best epoch.
    RETURNS (Model): The language model.
    RAISES (ValueError): When the folder holds none, or a damaged one.
    """
    folder = path / MODEL_BEST if (path / MODEL_BEST).is_dir() else path
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{path} holds no language model of `spacy semivae pretrain`: {', '.join(missing)} "
            "missing"
        )
    check_files(folder, FILES)
    with reading(f"The language model {folder}"):
        settings: Any = srsly.read_json(folder / SETTINGS)
        words: Any = srsly.read_json(folder / WORDS)
        model = build(settings["model"], words, settings["normalize"])
        shim: Any = model.shims[0]
        shim.load_state(load_file(folder / WEIGHTS))
    return model
