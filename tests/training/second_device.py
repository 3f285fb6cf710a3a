"""Train on a device that is not the CPU, made of the CPU's memory, and tell what came back from it.

Tensors of this device may not meet those of the CPU, as on a GPU, and every value that is read back
is noted. Run as a program: it registers the device with PyTorch for the whole process. Prints for
each job what was read in a step, its losses, and those of the same step on the CPU.
"""

import os
import sys
import traceback
import warnings
from collections import Counter

import spacy
import srsly
import torch
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed
from tiny import make_examples, model_of
from torch._dispatch.python import enable_python_dispatcher
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from spacy_semivae.layers.shim import TorchShim, clip_gradients

_setup_privateuseone_for_python_backend("far")
FAR = torch.device("far", 0)
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
SIZED_BY_VALUES = {"nonzero", "masked_select", "unique_dim", "unique_consecutive", "_unique2"}
VALUES = {"_local_scalar_dense", "is_nonzero", "equal"}
reads = Counter()


class FarTensor(torch.Tensor):
    """A tensor that says it is on the device."""

    @staticmethod
    def __new__(cls, near):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            near.size(),
            strides=near.stride(),
            storage_offset=near.storage_offset(),
            dtype=near.dtype,
            device=FAR,
            requires_grad=False,
        )
        made.near = near
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return call(func, args, kwargs or {})

    def tolist(self):
        note("tolist")
        return self.detach().near.tolist()


class OnTwoDevices(TorchDispatchMode):
    """Sees calls that make tensors on the device, too."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return call(func, args, kwargs or {})


def note(name):
    """Note what was read, and the package's line that asked for it."""
    frames = [f for f in traceback.extract_stack() if "spacy_semivae" in f.filename]
    where = frames[-1].filename.split("spacy_semivae/")[-1] if frames else "backward"
    reads[f"{where} {frames[-1].name if frames else ''} {name}"] += 1


def call(func, args, kwargs):
    """Compute on the CPU what an operation of either device gives."""
    name = func._schema.name.split("::")[1]
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    far = [x for x in tensors if isinstance(x, FarTensor)]
    target = bool(far)
    if kwargs.get("device") is not None:
        target = torch.device(kwargs["device"]).type == FAR.type
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if name == "copy_":
        target = isinstance(args[0], FarTensor)
    if far:
        check(func, name, args, target, [x for x in tensors if not isinstance(x, FarTensor)])
    near = tree_map_only(FarTensor, lambda x: x.near, (args, kwargs))
    found = func(*near[0], **near[1])
    known = {id(x.near): x for x in far}
    if not target:
        return found
    return tree_map_only(
        torch.Tensor, lambda x: known[id(x)] if id(x) in known else FarTensor(x), found
    )


def check(func, name, args, target, near):
    """Note what an operation on tensors of the device reads; refuse others among them."""
    if name in ("_to_copy", "copy_"):
        if not target:
            note("copy")
        return
    masks = [i for i in args[1] if i is not None] if name in INDEXING else []
    if any(i.dtype == torch.bool for i in masks) or name in SIZED_BY_VALUES | VALUES:
        note(name)
    if name == "repeat_interleave" and func._overloadname == "Tensor":
        note(name)
    if any(x.ndim for x in near):
        raise RuntimeError(f"{func} got tensors of two devices")


def make_pipeline(factory, changes):
    """Make a pipeline that was trained for a step, and a batch for it."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe(factory, config={"model": model_of(factory) | changes})
    examples = make_examples(nlp, raw=("Lee likes New Rome", "", "no zebras"))
    optimizer = nlp.initialize(lambda: examples)
    nlp.update(examples, sgd=optimizer, drop=0.1)
    if factory == "crf_vae_ner":
        words = ["Ann", "saw", "Bob"]
        reference = Doc(nlp.vocab, words)
        reference.spans["incorrect_spans"] = [Span(reference, 0, 1, "LOC")]
        examples.append(Example(Doc(nlp.vocab, words), reference))
    return nlp, examples


def step(nlp, examples):
    """Take a step and give its losses."""
    fix_random_seed(1)
    losses = nlp.update(examples, sgd=False, drop=0.1, losses={})
    (pipe,) = [pipe for _, pipe in nlp.pipeline]
    return {**losses, "norm": clip_gradients(pipe.model, 1.0)}


def run(factory, changes):
    """Take the step on the CPU and on the device."""
    expected = step(*make_pipeline(factory, changes))
    nlp, examples = make_pipeline(factory, changes)
    # recurrent layers in single operations, for which the CPU has kernels
    with enable_python_dispatcher(), OnTwoDevices():
        for node in nlp.get_pipe(factory).model.walk():
            for shim in node.shims:
                if isinstance(shim, TorchShim):
                    shim.module.to(FAR)
        reads.clear()
        losses = step(nlp, examples)
    return {"losses": losses, "expected": expected, "reads": dict(reads)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    jobs = srsly.json_loads(sys.argv[1])
    sys.stdout.write(srsly.json_dumps({name: run(*job) for name, job in jobs.items()}))
    sys.stdout.flush()
    # PyTorch's thread of the device's backward pass may abort the interpreter's end, which is
    # not what is tested.
    os._exit(0)
