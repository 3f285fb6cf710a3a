"""A section on the texts that an SSVAE writes for its labels."""

from collections.abc import Sequence

from ...pipeline.base import SemiSupervisedPipe
from ...pipeline.ssvae import SSVAETextcat
from .blocks import Note, Section, Table

LATENTS = 4  # texts of each label
MAX_WORDS = 30


def show_generated(pipe: SemiSupervisedPipe, *, seed: int) -> Sequence[Section]:
    """Show texts of every label, written from the same latents (the paper's Table 6).

    pipe (SemiSupervisedPipe): The component.
    seed (int): Of the latents.
    RETURNS (Sequence[Section]): A table, or why there is none; nothing for other components.
    """
    if not isinstance(pipe, SSVAETextcat):
        return []
    title = "Generated texts"
    if why := lack_of_generator(pipe):
        return [Section(title, blocks=[Note(f"Left out: {why}.")])]
    texts = pipe.generate(n=LATENTS, seed=seed, max_length=MAX_WORDS)
    rows = [
        (str(i), name, doc.text.strip() or "(nothing)")
        for i, docs in enumerate(zip(*texts.values()), 1)
        for name, doc in zip(texts, docs)
    ]
    lead = f"For each of {LATENTS} latents drawn from their prior one text of every label."
    table = Table(("latent", "label", "text"), rows, "Texts by latent and label", texts=3)
    return [Section(title, lead, [table])]


def lack_of_generator(pipe: SSVAETextcat) -> str:
    """RETURNS (str): Why a classifier has no generator, empty where it has one."""
    if pipe.uses_unlabeled():
        return ""
    pruned = pipe.model.attrs["pruned"]
    return "the generator was pruned" if pruned else "this classifier has no generator"
