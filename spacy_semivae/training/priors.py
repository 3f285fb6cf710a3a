"""Stores of learned priors: the posterior a sentence had before is its prior now.

Paper: Chen et al. (EMNLP 2018), section 3.6, equation 11: p_k,i(z_t) <- q_{k-1,i}(z_t | x, t).
Every store starts at N(0, I).
"""

import json
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import srsly
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from spacy.attrs import ORTH
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model
from torch import Tensor

from ..layers.loading import reading
from ..layers.vsl import encode, infer
from ..modules.gaussian import Gaussian
from ..modules.vsl import Prior, SnapshotPrior

DOCS_BEFORE_WARNING = 10_000


class StandardStore:
    """The prior is always N(0, I)."""

    def initialize(self, model: Model, n_labeled: int) -> None:
        """Start anew.

        model (Model): The component's model.
        n_labeled (int): Labelled Docs in an epoch.
        """

    def read(self, model: Model, docs: Sequence[Doc]) -> Prior | None:
        """Give the priors of a batch's T tokens.

        model (Model): The component's model.
        docs (Sequence[Doc]): The batch.
        RETURNS (Prior | None): None is N(0, I) for every token.
        """
        return None

    def write(
        self, model: Model, docs: Sequence[Doc], posteriors: dict[str, Gaussian], n_labeled: int
    ) -> None:
        """Take in the posteriors of a batch, before the weights are updated.

        model (Model): The component's model.
        docs (Sequence[Doc]): The batch.
        posteriors (dict[str, Gaussian]): Its posteriors, each (T, Z).
        n_labeled (int): Labelled Docs in the batch.
        """

    def warm_start(self, model: Model, docs: Sequence[Doc]) -> None:
        """Begin with another model's posteriors instead of N(0, I) (section 6.4).

        model (Model): The trained model of another pipeline.
        docs (Sequence[Doc]): A batch; called once for each batch of the corpora.
        """

    def to_bytes(self) -> bytes:
        """Serialize the store.

        RETURNS (bytes): Its content; no pickle.
        """
        return b""

    def from_bytes(self, data: bytes) -> "StandardStore":
        """Load what `to_bytes` gave.

        data (bytes): The content.
        RETURNS (StandardStore): This store.
        """
        return self


@dataclass
class Entry:
    """What is known of one sentence of N tokens."""

    length: int  # N, counted against `max_tokens` whether or not there are posteriors yet
    visits: int = 0
    packed: Tensor | None = None  # posteriors of all latents side by side, (N, D)


class MemoryStore(StandardStore):
    """A table of posteriors, keyed by the tokens of a Doc, on the model's device.

    update_frequency (int): Visits of a sentence from one refresh to the next.
    max_tokens (int): Tokens kept; the sentences not seen for longest go first.
    """

    def __init__(self, *, update_frequency: int, max_tokens: int) -> None:
        if update_frequency < 1 or max_tokens < 1:
            raise ValueError(
                "MemoryPrior needs update_frequency >= 1 and max_tokens >= 1, but got "
                f"{update_frequency} and {max_tokens}"
            )
        self.update_frequency = update_frequency
        self.max_tokens = max_tokens
        self._clear()

    def _clear(self) -> None:
        self.entries: OrderedDict[str, Entry] = OrderedDict()
        self.widths: dict[str, int] = {}  # columns of each latent in a packed tensor
        self.tokens = self.visits = self.hits = 0

    def initialize(self, model: Model, n_labeled: int) -> None:
        """Forget everything."""
        self._clear()

    def read(self, model: Model, docs: Sequence[Doc]) -> Prior | None:
        """Give the posteriors at the last refresh, N(0, I) for sentences not met before."""
        entries = [self.entries.get(doc_key(doc)) for doc in docs]
        found = [None if entry is None else entry.packed for entry in entries]
        known = next((packed for packed in found if packed is not None), None)
        if known is None:
            return None
        device = model.shims[0].device  # type: ignore[attr-defined]
        rows = [
            known.new_zeros(len(doc), known.shape[1]) if packed is None else packed
            for doc, packed in zip(docs, found)
        ]
        table = torch.cat([row.to(device) for row in rows])  # (T, D)
        parts = table.split(list(self.widths.values()), 1)  # each (T, 2Z)
        latents = {name: Gaussian.unpack(part) for name, part in zip(self.widths, parts)}
        return lambda name, y: latents[name]

    def write(
        self, model: Model, docs: Sequence[Doc], posteriors: dict[str, Gaussian], n_labeled: int
    ) -> None:
        """Refresh the sentences whose visit it is."""
        self._store(docs, posteriors, self.update_frequency)

    def warm_start(self, model: Model, docs: Sequence[Doc]) -> None:
        """Store the other model's posteriors of these Docs."""
        self._store(docs, infer(model, docs), 1)

    def _store(self, docs: Sequence[Doc], posteriors: dict[str, Gaussian], frequency: int) -> None:
        if not posteriors:
            return
        packed = {name: q.pack() for name, q in posteriors.items()}
        self.widths = {name: part.shape[1] for name, part in packed.items()}
        rows = torch.cat(list(packed.values()), 1).split([len(doc) for doc in docs])
        keys = [doc_key(doc) for doc in docs]
        self._count(sum(key in self.entries for key in keys), len(docs))
        for doc, key, row in zip(docs, keys, rows):
            if key not in self.entries:
                self.entries[key] = Entry(len(doc))
                self.tokens += len(doc)
            entry = self.entries[key]
            self.entries.move_to_end(key)
            entry.visits += 1
            if entry.visits % frequency == 0:
                entry.packed = row.clone()  # a view would keep the whole batch alive
        while self.tokens > self.max_tokens and len(self.entries) > 1:
            _, dropped = self.entries.popitem(last=False)
            self.tokens -= dropped.length

    def _count(self, hits: int, docs: int) -> None:
        before, self.visits = self.visits, self.visits + docs
        self.hits += hits
        if before < DOCS_BEFORE_WARNING <= self.visits and self.hits < 0.01 * self.visits:
            warnings.warn(
                f"Of {self.visits} Docs only {self.hits} were met before, so the memory prior "
                "stays N(0, I) for nearly all: use semivae.SnapshotPrior.v1 for a stream",
                stacklevel=2,
            )

    def to_bytes(self) -> bytes:
        """Serialize the table as safetensors, keys and visits in its header."""
        if not self.entries:
            return b""
        index = [
            (key, entry.length, entry.visits, entry.packed is not None)
            for key, entry in self.entries.items()
        ]
        rows = [entry.packed.cpu() for entry in self.entries.values() if entry.packed is not None]
        header = {"index": json.dumps(index), "widths": json.dumps(self.widths)}
        lines = {
            name: torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
            for name, text in header.items()
        }
        return save_safetensors({"table": torch.cat(rows or [torch.zeros(0, 0)]), **lines})

    def from_bytes(self, data: bytes) -> "MemoryStore":
        """Load a table; it moves to a model's device when it is next read there."""
        self._clear()
        if data:
            tensors = load_safetensors(bytes(data))
            index = json.loads(bytes(tensors["index"].numpy()))
            self.widths = dict(json.loads(bytes(tensors["widths"].numpy())))
            lengths = [length for _, length, _, is_packed in index if is_packed]
            expected = (sum(lengths), sum(self.widths.values()) if lengths else 0)
            if tensors["table"].shape != expected:
                raise ValueError(f"{tuple(tensors['table'].shape)} is the table, not {expected}")
            rows = iter(tensors["table"].split(lengths))
            for key, length, visits, is_packed in index:
                packed = next(rows).clone() if is_packed else None
                self.entries[key] = Entry(length, visits, packed)
                self.tokens += length
        return self


class SnapshotStore(StandardStore):
    """A frozen copy of encoder and posterior from before the last refresh: constant memory.

    every (int | None): Steps from one refresh to the next; None is one pass over the labelled Docs.
    """

    def __init__(self, *, every: int | None) -> None:
        if every is not None and every < 1:
            raise ValueError(f"SnapshotPrior needs every >= 1 or null, but got {every}")
        self.every = every
        self.model: Model | None = None
        self.saved = b""
        self.steps = self.labeled = self.n_labeled = 0

    def initialize(self, model: Model, n_labeled: int) -> None:
        """Forget the copy.

        RAISES (ValueError): When the encoder is a listener, which has no weights to copy.
        """
        listeners = [node.name for node in model.walk() if node.name.endswith("listener")]
        if listeners:
            raise ValueError(
                f"SnapshotPrior copies the encoder, but this model has a {listeners[0]}: give the "
                "component an encoder of its own, or use semivae.MemoryPrior.v1"
            )
        self.model, self.saved = None, b""
        self.steps, self.labeled, self.n_labeled = 0, 0, n_labeled

    def read(self, model: Model, docs: Sequence[Doc]) -> Prior | None:
        """Evaluate the copy, with dropout off; for `hier` z is taken at the current y (eq. 7)."""
        if self.saved:
            self.model = model.copy()
            # labels may have been added since the copy was made
            self.model.set_dim("nO", None, force=True)  # type: ignore[arg-type]
            with reading("The copy of the model that gives the prior"):
                self.model.from_bytes(self.saved)
            self.saved = b""
        if self.model is None:
            return None
        module: Any = self.model.shims[0].module.eval()  # type: ignore[attr-defined]
        return SnapshotPrior(module, encode(self.model, docs))

    def write(
        self, model: Model, docs: Sequence[Doc], posteriors: dict[str, Gaussian], n_labeled: int
    ) -> None:
        """Count the step and copy the model when it is time."""
        self.steps += 1
        self.labeled += n_labeled
        due = self.labeled >= self.n_labeled if self.every is None else self.steps >= self.every
        if due and posteriors:
            self.model, self.steps, self.labeled = model.copy(), 0, 0

    def warm_start(self, model: Model, docs: Sequence[Doc]) -> None:
        """Begin with a copy of the other model."""
        if self.model is None:
            self.model = model.copy()

    def to_bytes(self) -> bytes:
        """Serialize the copy, and how far the next refresh is away."""
        model = self.saved if self.model is None else self.model.to_bytes()
        counts = (self.steps, self.labeled, self.n_labeled)
        return srsly.msgpack_dumps({"model": model, "counts": counts})

    def from_bytes(self, data: bytes) -> "SnapshotStore":
        """Keep the copy's bytes until a model of the right structure reads them."""
        self.model, self.saved = None, b""
        if data:
            message = srsly.msgpack_loads(data)
            self.saved = message["model"]
            self.steps, self.labeled, self.n_labeled = message["counts"]
        return self


@registry.misc("semivae.StandardPrior.v1")
def create_standard_prior() -> StandardStore:
    """Create a store that keeps N(0, I).

    RETURNS (StandardStore): The store.
    """
    return StandardStore()


@registry.misc("semivae.MemoryPrior.v1")
def create_memory_prior(update_frequency: int = 1, max_tokens: int = 1_000_000) -> MemoryStore:
    """Create a table of the sentences' last posteriors.

    update_frequency (int): Visits of a sentence from one refresh to the next.
    max_tokens (int): Tokens kept, 4 bytes times twice the latents' widths each.
    RETURNS (MemoryStore): The store.
    """
    return MemoryStore(update_frequency=update_frequency, max_tokens=max_tokens)


@registry.misc("semivae.SnapshotPrior.v1")
def create_snapshot_prior(every: int | None = None) -> SnapshotStore:
    """Create a store that evaluates a frozen copy of the model.

    every (int | None): Steps from one refresh to the next; None is one pass over the labelled Docs.
    RETURNS (SnapshotStore): The store.
    """
    return SnapshotStore(every=every)


def doc_key(doc: Doc) -> str:
    """Hash the tokens of a Doc, the same in every process.

    doc (Doc): The Doc.
    RETURNS (str): 16 hexadecimal digits.
    """
    return blake2b(doc.to_array(ORTH).tobytes(), digest_size=8).hexdigest()
