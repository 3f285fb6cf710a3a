"""Writing texts word by word: the most probable next word, a random one, or beam search.

No text holds an unknown word: its probability is left out.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .crf import gumbel
from .text_words import END, UNKNOWN

STRATEGIES = ("greedy", "sample", "beam")
NEVER = float("-inf")
# Takes last words (n,), states and cells (n, H) and the text of each row (n,); gives
# log-probabilities of the next word (n, V), states and cells.
Advance = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, ...]]


def write(
    advance: Advance,
    h: Tensor,
    strategy: str,
    max_length: int,
    width: int,
    generator: torch.Generator | None,
) -> Tensor:
    """Write one text from each first state.

    advance (Callable): Scores next words.
    h (Tensor): First states, (n, H).
    strategy (str): "greedy", "sample" or "beam".
    max_length (int): Words of a text at most.
    width (int): Texts that "beam" follows at once.
    generator (torch.Generator | None): The source of noise of "sample".
    RETURNS (Tensor): Words, END from the end of a text on, (n, words of the longest).
    RAISES (ValueError): For another strategy or a width below 1.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"a strategy is one of {list(STRATEGIES)}, but got '{strategy}'")
    if strategy == "beam":
        written = search(advance, h, max_length, width)
    else:
        written = choose(advance, h, max_length, strategy == "sample", generator)
    return written[:, (written != END).any(0)]


def choose(
    advance: Advance,
    h: Tensor,
    max_length: int,
    sample: bool,
    generator: torch.Generator | None,
) -> Tensor:
    """Write one word after the other.

    advance (Callable): Scores next words.
    h (Tensor): First states, (n, H).
    max_length (int): Words of a text at most.
    sample (bool): Draw words; else take the most probable one.
    generator (torch.Generator | None): The source of noise.
    RETURNS (Tensor): Words, END from the end of a text on, (n, max_length or fewer).
    """
    texts = torch.arange(len(h), device=h.device)
    words, c = torch.full_like(texts, END), torch.zeros_like(h)
    ended, written = torch.zeros_like(words, dtype=torch.bool), words[:, None][:, :0]
    for _ in range(max_length):
        scores, h, c = advance(words, h, c, texts)
        scores[:, UNKNOWN] = NEVER
        if sample:
            scores = scores + gumbel(scores, generator)
        words = scores.argmax(1).masked_fill(ended, END)
        written = torch.cat((written, words[:, None]), 1)
        ended = words == END
        if bool(ended.all()):
            break
    return written


def search(advance: Advance, h: Tensor, max_length: int, width: int) -> Tensor:
    """Look for the most probable text, an end being as much a word as any other.

    advance (Callable): Scores next words.
    h (Tensor): First states, (n, H).
    max_length (int): Words of a text at most.
    width (int): Texts that are followed at once, W.
    RETURNS (Tensor): Words, END from the end of a text on, (n, max_length or fewer).
    RAISES (ValueError): For a width below 1.
    """
    if width < 1:
        raise ValueError(f"the width of a beam is at least 1, but got {width}")
    n, every = len(h), torch.arange(len(h), device=h.device)
    texts = every.repeat_interleave(width)  # (n * W,)
    h = h.index_select(0, texts)
    words, c = torch.full_like(texts, END), torch.zeros_like(h)
    ended, written = torch.zeros_like(words, dtype=torch.bool), words[:, None][:, :0]
    totals = h.new_full((n, width), NEVER)
    totals[:, 0] = 0.0  # the others are copies
    for _ in range(max_length):
        scores, h, c = advance(words, h, c, texts)
        scores[:, UNKNOWN] = NEVER
        only_end = torch.full_like(scores, NEVER).index_fill(1, every.new_tensor([END]), 0.0)
        scores = torch.where(ended[:, None], only_end, scores)
        V = scores.shape[1]
        totals, best = (totals.view(-1, 1) + scores).view(n, width * V).topk(width, 1)  # (n, W)
        rows = (best // V + every[:, None] * width).flatten()
        words = (best % V).flatten()
        written = torch.cat((written[rows], words[:, None]), 1)
        ended, h, c = words == END, h[rows], c[rows]
        if bool(ended[::width].all()):  # topk sorts, and a total never grows
            break
    return written[::width]
