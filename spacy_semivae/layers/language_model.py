"""A frozen causal language model: what it expects before each word piece of a Doc.

The generators of the CRF-VAE add its logits, states times output embeddings, to their own. The
model itself is never trained.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any
from weakref import WeakKeyDictionary

import numpy
import srsly
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model, get_torch_default_device, torch2xp
from thinc.types import Floats2d
from torch import Tensor, nn

from .cache import Array, VectorCache, make_cache
from .loading import check_config
from .pieces import Pieces, PieceVocabulary, load_pieces, restore_pieces
from .shim import TorchShim, distinct_tensors

LanguageModelT = Model[Sequence[Doc], Floats2d]
# Hashes of weights: they never change, and reading them all takes a second.
DIGESTS: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()
# what differs between two loads of the same model
INCIDENTAL = ("_name_or_path", "torch_dtype", "transformers_version")


def causal_lm(
    name: str,
    *,
    window: int | None = None,
    batch_pieces: int = 4096,
    cache: str = "memory",
    cache_mb: float = 1024,
) -> LanguageModelT:
    """Read Docs by a causal language model of the GPT-2 family.

    Its weights must be stored as safetensors; `initialize` reads them, and from then on they are
    saved with the Thinc model, with the configuration and the tokenizer.

    name (str): A folder, or a name on the Hugging Face hub.
    window (int | None): Pieces read at once; None for as many as the model has positions. A Doc
        of more is read in windows, in which each piece sees at least half a window before it.
    batch_pieces (int): Pieces computed in one batch, padding included.
    cache (str): Where each Doc's states are kept: "memory", "none" or a folder.
    cache_mb (float): Megabytes kept at most.
    RETURNS (Model): Docs to the states before each of their T pieces, (T, nO).
    RAISES (ValueError): When a setting is too small, and when the cache's folder is a file.
    """
    if window is not None and window < 2:
        raise ValueError(f"window is at least 2 pieces, but got {window}")
    if batch_pieces < 1:
        raise ValueError(f"batch_pieces is at least 1, but got {batch_pieces}")
    return Model(
        "causal_lm",
        forward,
        init=init,
        dims={"nO": None},
        attrs={
            "name": name,
            "window": window,
            "batch_pieces": batch_pieces,
            "cache": make_cache(cache, cache_mb),  # not saved: a loaded model has its config's
            "pieces": {},  # what restores the vocabulary; saved
            "vocabulary": None,  # restored from it; not saved
        },
        shims=[TorchShim(build_language_model)],
    )


def forward(
    model: LanguageModelT, X: Sequence[Doc], is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], list[Doc]]]:
    """Give the states before each piece; no gradient reaches the language model."""
    H = read_states(model, get_vocabulary(model).encode(X))
    return torch2xp(H), lambda dY: []  # type: ignore[return-value]


def init(model: LanguageModelT, X: Any = None, Y: Any = None) -> LanguageModelT:
    """Load tokenizer and weights, unless they came with a saved pipeline."""
    if not model.attrs["pieces"]:
        load(model)
    return model


def load(model: LanguageModelT) -> None:
    """Load tokenizer and weights by the model's name.

    model (Model): The language model.
    RAISES (ValueError): When this is no causal language model that the generators can use.
    """
    from transformers import AutoModelForCausalLM

    name, shim = model.attrs["name"], model.shims[0]
    vocabulary = load_pieces(name)
    # safetensors or an error: the other format is a pickle
    module = AutoModelForCausalLM.from_pretrained(
        name, use_safetensors=True, torch_dtype=torch.float32, trust_remote_code=False
    )
    check_language_model(name, module, vocabulary, model.attrs["window"])
    config = json.loads(module.config.to_json_string(use_diff=False))
    shim.cfg.update(config=config)
    shim._model = freeze(module).to(get_torch_default_device())
    shim.version += 1  # type: ignore[attr-defined]
    model.attrs["pieces"] = vocabulary.to_dict()
    model.set_dim("nO", get_outputs(model).shape[1], force=True)


def check_language_model(
    name: str, module: Any, vocabulary: PieceVocabulary, window: int | None
) -> None:
    """Refuse a model whose logits are not its states times its output embeddings.

    name (str): The model's name, for messages.
    module (PreTrainedModel): The model.
    vocabulary (PieceVocabulary): Its word pieces.
    window (int | None): Pieces read at once.
    RAISES (ValueError): When it cannot be used.
    """
    start, positions = vocabulary.start, getattr(module.config, "max_position_embeddings", None)
    if start is None:
        raise ValueError(f"A language model needs a start or end token, but {name!r} has neither")
    if positions is None and window is None:
        raise ValueError(f"{name!r} does not say how many positions it has: set window")
    if positions is not None and window is not None and window > positions:
        raise ValueError(f"window is {window}, but {name!r} has {positions} positions")
    rows, last = module.config.vocab_size, max(start, vocabulary.unknown)
    if last >= rows:
        raise ValueError(f"{name!r} has {rows} pieces, but its tokenizer uses piece {last}")
    ids = torch.full((1, 2), start)
    with torch.no_grad():
        logits = module.eval()(ids).logits
        product = compute_states(module, ids) @ module.get_output_embeddings().weight.T
    if not torch.allclose(logits, product, rtol=1e-3, atol=1e-3 * float(logits.abs().max())):
        raise ValueError(
            f"The logits of {name!r} ({type(module).__name__}) are not its last states times its "
            "output embeddings: take a model of the GPT-2 family"
        )


def build_language_model(config: dict[str, Any]) -> nn.Module:
    """Build a language model with new weights, to be loaded into.

    config (dict): Its configuration, "model_type" included.
    RETURNS (PreTrainedModel): The model, frozen.
    RAISES (ValueError): When the configuration asks for code.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    check_config(config)
    found = AutoConfig.for_model(**config)
    module = AutoModelForCausalLM.from_config(
        found, torch_dtype=torch.float32, trust_remote_code=False
    )
    return freeze(module)


def freeze(module: nn.Module) -> nn.Module:
    """Put a module into evaluation mode for good.

    module (nn.Module): The module.
    RETURNS (nn.Module): The same; none of its parameters takes a gradient.
    """
    return module.eval().requires_grad_(False)


def get_vocabulary(model: LanguageModelT) -> PieceVocabulary:
    """Give the word pieces of a language model.

    model (Model): The language model.
    RETURNS (PieceVocabulary): Its pieces, the same object from call to call.
    RAISES (ValueError): Before `initialize` or `from_bytes`.
    """
    settings, found = model.attrs["pieces"], model.attrs["vocabulary"]
    if not settings:
        raise ValueError(
            f"The language model {model.attrs['name']!r} is not loaded yet: "
            "call nlp.initialize() or load a trained pipeline"
        )
    if found is None or found.to_dict() != settings:
        found = model.attrs["vocabulary"] = restore_pieces(settings)
    return found


def get_outputs(model: LanguageModelT) -> Tensor:
    """Give the output embeddings of all pieces.

    model (Model): The language model.
    RETURNS (Tensor): The model's own weights, without gradient, (pieces of the vocabulary, nO).
    """
    return model.shims[0].module.get_output_embeddings().weight.detach()  # type: ignore[attr-defined]


def read_states(model: LanguageModelT, pieces: Pieces) -> Tensor:
    """Give the last hidden state before each piece, of each Doc computed once.

    model (Model): The language model.
    pieces (Pieces): The pieces of B Docs, T in all.
    RETURNS (Tensor): On the module's device, without gradient, (T, nO).
    """
    cache: VectorCache = model.attrs["cache"]
    if not cache.limit:
        return compute_rows(model, pieces)
    owner = fingerprint(model)
    docs = [ids for ids in numpy.split(pieces.ids, numpy.cumsum(pieces.units)[:-1]) if len(ids)]
    keys = [blake2b(ids.tobytes(), digest_size=16).hexdigest() for ids in docs]
    found = dict(zip(keys, cache.get(owner, keys)))
    new = {key: ids for key, ids in zip(keys, docs) if found[key] is None}
    if new:
        found.update(zip(new, cache.put(owner, list(new), compute_docs(model, [*new.values()]))))
    nothing = numpy.zeros((0, model.get_dim("nO")), dtype="float32")
    rows = numpy.concatenate([nothing, *(found[key] for key in keys)])  # type: ignore[arg-type]
    return torch.from_numpy(rows).to(model.shims[0].device)  # type: ignore[attr-defined]


def fingerprint(model: LanguageModelT) -> str:
    """Hash all that states depend on beside the pieces: weights, configuration, windows.

    model (Model): The language model.
    RETURNS (str): 32 hexadecimal digits.
    """
    shim: Any = model.shims[0]
    if shim.module not in DIGESTS:
        digest = blake2b(digest_size=16)
        for name, tensor in sorted(distinct_tensors(shim.module).items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        DIGESTS[shim.module] = digest.hexdigest()
    config = {k: v for k, v in shim.cfg["config"].items() if k not in INCIDENTAL}
    start = model.attrs["pieces"]["start"]
    found = [DIGESTS[shim.module], config, model.attrs["window"], start]
    text = srsly.json_dumps(found, sort_keys=True)
    return blake2b(text.encode(), digest_size=16).hexdigest()


def compute_docs(model: LanguageModelT, docs: Sequence[NDArray[numpy.int64]]) -> list[Array]:
    """Compute the states of Docs for the cache.

    model (Model): The language model.
    docs (Sequence[ndarray]): The pieces of each.
    RETURNS (list[ndarray]): A row before each piece, of each Doc.
    """
    ids, units = numpy.concatenate(docs), numpy.array([len(doc) for doc in docs])
    H = compute_rows(model, Pieces(ids, numpy.ones_like(ids), units)).cpu().numpy()
    return numpy.split(H, numpy.cumsum(units)[:-1])


def compute_rows(model: LanguageModelT, pieces: Pieces) -> Tensor:
    """Compute the last hidden state before each piece.

    Row i depends on the pieces of its Doc before i alone, whatever stands beside the Doc. It
    starts from the start piece; a Doc longer than the window is cut into windows that do not.

    model (Model): The language model.
    pieces (Pieces): The pieces of B Docs, T in all.
    RETURNS (Tensor): On the module's device, without gradient, (T, nO).
    """
    shim: Any = model.shims[0]
    module, device = shim.module.eval(), shim.device
    inputs = shift(pieces, model.attrs["pieces"]["start"])
    size = model.attrs["window"] or module.config.max_position_embeddings
    windows = cut_windows(pieces.units, size)
    found = torch.empty((len(inputs), model.get_dim("nO")), device=device)
    with torch.no_grad():
        for batch in make_batches(windows[:, 2] - windows[:, 0], model.attrs["batch_pieces"]):
            begins, keeps, ends = windows[batch].T[..., None]
            places = begins + numpy.arange((ends - begins).max())  # (windows, N)
            # what pads a window stands after its pieces, where no causal state sees it
            ids = torch.from_numpy(inputs[numpy.minimum(places, ends - 1)]).to(device)
            kept = numpy.flatnonzero((places >= keeps) & (places < ends))
            H = compute_states(module, ids).flatten(0, 1)  # (windows * N, nO)
            rows = torch.from_numpy(places.ravel()[kept]).to(device)
            found[rows] = H[torch.from_numpy(kept).to(device)]
    return found


def compute_states(module: Any, ids: Tensor) -> Tensor:
    """Run the language model without its output layer.

    module (PreTrainedModel): The model.
    ids (Tensor): Pieces, (B, N).
    RETURNS (Tensor): The last hidden state after each piece, (B, N, nO).
    """
    mask = torch.ones_like(ids)
    return module.base_model(ids, attention_mask=mask, use_cache=False).last_hidden_state


def shift(pieces: Pieces, start: int) -> NDArray[numpy.int64]:
    """Give what the model reads where it predicts each piece.

    pieces (Pieces): The pieces, T in all.
    start (int): The piece before a Doc.
    RETURNS (ndarray): The piece before each, (T,).
    """
    inputs = numpy.roll(pieces.ids, 1)
    inputs[(numpy.cumsum(pieces.units) - pieces.units)[pieces.units > 0]] = start
    return inputs


def cut_windows(units: NDArray[numpy.int64], size: int) -> NDArray[numpy.int64]:
    """Cut Docs into windows; no cut depends on what follows it.

    units (ndarray): Pieces of each Doc, (B,).
    size (int): Pieces of a window at most, 2 at least.
    RETURNS (ndarray): For each window its first piece, the first that no window before it has
        kept, and its end, counted over all Docs, (windows, 3).
    """
    half, windows = size // 2, []
    for end, length in zip(numpy.cumsum(units).tolist(), units.tolist()):
        begin = end - length
        if length:
            windows.append((begin, begin, min(begin + size, end)))
        for keep in range(begin + size, end, half):
            windows.append((keep + half - size, keep, min(keep + half, end)))
    return numpy.array(windows, dtype="int64").reshape(-1, 3)


def make_batches(lengths: NDArray[numpy.int64], limit: int) -> Iterator[NDArray[numpy.intp]]:
    """Group sequences of like length.

    lengths (ndarray): Their lengths, (sequences,).
    limit (int): Items of a batch at most, padding included; a longer sequence stands alone.
    YIELDS (ndarray): Numbers of sequences, the longest first.
    """
    order, first = numpy.argsort(-lengths, kind="stable"), 0
    while first < len(order):
        count = max(1, limit // int(lengths[order[first]]))
        yield order[first : first + count]
        first += count
