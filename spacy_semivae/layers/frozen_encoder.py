"""A Hugging Face encoder whose weights never change: loading, storage, copies and windows.

spacy-transformers runs the encoder and aligns word pieces to tokens. What is added here: storage
without a pickle, copies that share the weights, a fingerprint, and windows that never hold more
pieces than the encoder has positions for.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import srsly
import torch
from spacy.tokens import Doc, Span
from spacy_transformers.data_classes import HFObjects
from spacy_transformers.layers import TransformerModel
from spacy_transformers.layers.hf_shim import HFShim
from spacy_transformers.span_getters import get_strided_spans
from thinc.api import get_torch_default_device
from thinc.types import ArgsKwargs
from tokenizers import pre_tokenizers, processors
from torch import nn
from transformers import AutoModel, AutoTokenizer

from .loading import check_config, reading, write_files

# settings of an encoder that differ between two loads of the same one
INCIDENTAL = ("_name_or_path", "architectures", "output_hidden_states", "transformers_version")

PADDING = "longest"  # what spacy-transformers asks its tokenizers for


@dataclass(frozen=True)
class Reading:
    """How token vectors are read off an encoder."""

    layer: int
    pooling: str
    window: int
    stride: int
    mixed_precision: bool


class FrozenShim(HFShim):
    """Hold an encoder and its tokenizer; stored as the files Hugging Face would save.

    Copies share the encoder, because nothing changes it.

    reading (Reading): How the encoder is read.
    """

    def __init__(self, reading: Reading) -> None:
        nothing = HFObjects(None, None, None, {}, {})
        super().__init__(nothing, mixed_precision=reading.mixed_precision, grad_scaler_config={})
        self.reading = reading
        self.tokenizer_files: dict[str, bytes] = {}
        self._digest = ""

    @property
    def encoder(self) -> Any:
        """The Hugging Face model.

        RAISES (ValueError): Before `load` or `from_bytes`.
        """
        if self._model is None:
            raise ValueError(
                "The frozen transformer has no weights yet: call nlp.initialize() or load a "
                "trained pipeline"
            )
        return self._model

    @property
    def fingerprint(self) -> str:
        """Hash of all that token vectors depend on: weights, settings, tokenizer, reading."""
        if not self._digest:
            digest = blake2b(repr(astuple(self.reading)).encode(), digest_size=16)
            config = self.encoder.config.to_dict()
            kept = {key: config[key] for key in sorted(config) if key not in INCIDENTAL}
            digest.update(repr((type(self.encoder).__name__, kept)).encode())
            for name in sorted(self.tokenizer_files):
                digest.update(self.tokenizer_files[name])
            for name, tensor in sorted(self.encoder.state_dict().items()):
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy())
            self._digest = digest.hexdigest()
        return self._digest

    def load(self, name: str, *, whole: bool = False) -> None:
        """Load encoder and tokenizer.

        name (str): A name on the hub or a folder, with weights as safetensors.
        whole (bool): Whether every weight must be there.
        RAISES (ValueError): When the tokenizer has nothing to pad with, or weights are missing.
        """
        # what a checkpoint lacks, such as a pooler, is drawn: the same each time, or no later
        # run would find its vectors in the cache, and without a change to the caller's numbers
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            encoder, info = AutoModel.from_pretrained(
                name, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
        if whole and info["missing_keys"]:
            raise ValueError(f"weights are missing: {sorted(info['missing_keys'])[:5]}")
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        if tokenizer.pad_token is None:
            # as for GPT-2: no mask lets padding be seen, so that any piece may stand there
            tokenizer.pad_token = tokenizer.eos_token
        if tokenizer.pad_token is None:
            raise ValueError(f"{name} has neither padding nor end token: take one such as BERT")
        trim_offsets(tokenizer)
        tokenizer.model_max_length = count_positions(encoder, tokenizer.model_max_length)
        with TemporaryDirectory() as folder:
            tokenizer.save_pretrained(folder)
            self.tokenizer_files = read_files(Path(folder))
        self._hold(encoder.to(get_torch_default_device()), tokenizer)

    def _hold(self, encoder: Any, tokenizer: Any) -> None:
        encoder.eval().requires_grad_(False)
        # sets up the padding that every call asks for: to change it while another thread uses the
        # tokenizer is an error
        tokenizer(["."], padding=PADDING)
        encoder.config.output_hidden_states = self.reading.layer != -1
        self._model, self._digest = encoder, ""
        self._hfmodel = HFObjects(tokenizer, encoder, None, {}, {})

    def predict(self, inputs: ArgsKwargs) -> Any:
        """Run the encoder without dropout or gradient.

        inputs (ArgsKwargs): Its arguments.
        RETURNS (ModelOutput): What it gives.
        """
        # without the switch between training and evaluation, which other threads would notice
        with torch.no_grad(), torch.autocast("cuda", enabled=self._mixed_precision):
            return self.encoder(*inputs.args, **inputs.kwargs)

    def to_bytes(self) -> bytes:
        """Serialize encoder and tokenizer.

        RETURNS (bytes): Msgpack holding their files; weights are safetensors, no pickle.
        """
        files: dict[str, bytes] = {}
        if self._model is not None:
            with TemporaryDirectory() as folder:
                # in parts, because msgpack holds no single value of 4 GB
                self._model.save_pretrained(folder, max_shard_size="1GB")
                files = read_files(Path(folder))
        return srsly.msgpack_dumps({"encoder": files, "tokenizer": self.tokenizer_files})

    def from_bytes(self, bytes_data: bytes) -> "FrozenShim":
        """Load what `to_bytes` gave; nothing is read from the hub or the original folder.

        bytes_data (bytes): The files.
        RETURNS (FrozenShim): This shim.
        RAISES (ValueError): When they are damaged, or would do more than to be loaded.
        """
        self._model, self._digest = None, ""
        with reading("The frozen transformer"), TemporaryDirectory() as folder:
            message = srsly.msgpack_loads(bytes_data)
            if message["encoder"]:
                check_config(json.loads(message["encoder"]["config.json"]))
                write_files({**message["encoder"], **message["tokenizer"]}, Path(folder))
                self.load(folder, whole=True)
        self.tokenizer_files = message["tokenizer"]
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "FrozenShim":
        other = FrozenShim(self.reading)
        other.tokenizer_files = self.tokenizer_files
        if self._model is not None:
            other._hold(self._model, self._hfmodel.tokenizer)
            other._digest = self._digest
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        return (restore_shim, (self.reading, self.to_bytes()))


def restore_shim(reading: Reading, data: bytes) -> FrozenShim:
    """Rebuild a shim in another process.

    reading (Reading): How the encoder is read.
    data (bytes): What `FrozenShim.to_bytes` gave.
    RETURNS (FrozenShim): The shim.
    """
    return FrozenShim(reading).from_bytes(data)


class FrozenEncoder(TransformerModel):
    """spacy-transformers' model, which as it is cannot be copied below another model.

    name (str): A name on the hub or a folder.
    shim (FrozenShim): Holds the encoder.
    """

    def __init__(self, name: str, shim: FrozenShim) -> None:
        super().__init__(name, Windows(shim), {}, {}, False, {})
        self.layers[0].shims[0] = shim

    def _copy(self, seen: dict[int, Any] | None = None) -> "FrozenEncoder":
        copied = FrozenEncoder(self.attrs["name"], self.layers[0].shims[0].copy())
        if self.has_dim("nO"):
            copied.set_dim("nO", self.get_dim("nO"))
        return copied

    def copy(self) -> "FrozenEncoder":
        """Copy the model; the weights are shared.

        RETURNS (FrozenEncoder): The copy.
        """
        return self._copy()


@dataclass
class Windows:
    """Cut Docs into strided windows that fit the encoder.

    shim (FrozenShim): Holds the encoder.
    """

    shim: FrozenShim

    def __call__(self, docs: Sequence[Doc]) -> list[list[Span]]:
        """Cut Docs.

        docs (Sequence[Doc]): The Docs.
        RETURNS (list[list[Span]]): The windows of each.
        """
        reading = self.shim.reading
        nested = get_strided_spans(docs, reading.window, reading.stride)
        return [[part for span in spans for part in self._fit(span)] for spans in nested]

    def _fit(self, span: Span) -> list[Span]:
        tokenizer = self.shim._hfmodel.tokenizer
        # short texts need no count: few pieces are shorter than a byte
        if len(span) == 1 or 2 * len(span.text.encode()) < tokenizer.model_max_length:
            return [span]
        pieces = tokenizer(span.text, padding=PADDING, verbose=False)["input_ids"]
        if len(pieces) <= tokenizer.model_max_length:
            return [span]
        middle = len(span) // 2
        return self._fit(span[:middle]) + self._fit(span[middle:])


def count_positions(encoder: nn.Module, stated: int) -> int:
    """Find the pieces that an encoder takes at once.

    encoder (nn.Module): The Hugging Face model.
    stated (int): What its tokenizer says, which may be a huge number for "not known".
    RETURNS (int): The pieces, special ones among them.
    """
    positions = getattr(encoder.config, "max_position_embeddings", None) or 0
    for name, module in encoder.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # RoBERTa counts positions from behind its padding index
            first = 0 if module.padding_idx is None else module.padding_idx + 1
            positions = module.num_embeddings - first
    return min(stated, positions if positions > 0 else sys.maxsize)


def trim_offsets(tokenizer: Any) -> None:
    """Let no piece reach back to the space before it, which belongs to the token before.

    As it comes, the tokenizer of GPT-2 counts the space in: each token would be aligned with the
    next one's first piece too.

    tokenizer (PreTrainedTokenizer): A tokenizer, changed in place.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel):
        return
    if backend.post_processor is None or isinstance(backend.post_processor, processors.ByteLevel):
        backend.post_processor = processors.ByteLevel(trim_offsets=True)


def read_files(folder: Path) -> dict[str, bytes]:
    """Read the files of a folder.

    folder (Path): The folder.
    RETURNS (dict[str, bytes]): Contents by name.
    """
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
