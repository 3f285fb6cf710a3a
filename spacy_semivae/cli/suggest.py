"""`spacy semivae suggest`: what to label next."""

from pathlib import Path

import spacy
from spacy.cli._util import Arg, Opt, import_code, setup_gpu
from tqdm import tqdm
from wasabi import msg

from ..analysis.exchange.files import FORMATS, find_format, write_tasks
from ..analysis.suggest import DIVERSITIES, SuggestSettings, suggest
from ..analysis.suggest_measures import MEASURES
from ..annotate.corpus import count_texts
from ..training.raw_text import find_files


def suggest_cli(
    model: str = Arg(..., help="Trained pipeline: a folder or package"),
    raw: str = Arg(..., help="Raw text: a file, a glob pattern or a folder"),
    output: Path = Opt(..., "--output", "-o", help="File for the tool, .jsonl or .json"),
    n: int = Opt(50, "--n", "-n", help="Texts to be labelled", min=1),
    by: str = Opt("margin", "--by", help=f"One of {', '.join(MEASURES)}"),
    format_: str = Opt("prodigy", "--format", help=f"One of {', '.join(FORMATS)}"),
    exclude: list[Path] = Opt([], "--exclude", help="Corpus whose texts are left out; repeatable"),
    diversity: str = Opt("none", "--diversity", help=f"One of {', '.join(DIVERSITIES)}"),
    pool: int = Opt(0, "--pool", help="Best texts among which to choose (default: 10 n)", min=0),
    per_token: bool = Opt(False, "--per-token", help="Measure by token, not by text"),
    samples: int = Opt(8, "--samples", help="disagreement: samples of the latents", min=1),
    seed: int = Opt(0, "--seed", help="disagreement: seed of the samples"),
    component: str | None = Opt(None, "--component", help="The component, where there are several"),
    batch_size: int | None = Opt(None, "--batch-size", help="Texts of a batch", min=1),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU, or -1 for CPU"),
    code: Path | None = Opt(None, "--code", "-c", help="Python file with registered functions"),
) -> None:
    """Choose texts from which the pipeline would learn most, with its predictions."""
    import_code(code)
    setup_gpu(gpu_id)
    try:
        find_format(format_)
        settings = SuggestSettings(
            n=n,
            by=by,
            component=component,
            diversity=diversity,
            pool=pool,
            per_token=per_token,
            samples=samples,
            seed=seed,
            exclude=exclude,
            batch_size=batch_size,
        )
        nlp, total = spacy.load(model), count_texts(find_files(raw))
        with tqdm(total=total, desc="Reading", unit=" texts", disable=None) as bar:
            tasks = suggest(nlp, raw, settings, progress=bar.update)
        write_tasks(output, tasks, format_)
    except (ValueError, OSError) as error:
        msg.fail("Cannot suggest texts", str(error), exits=1)
    if len(tasks) < n:
        msg.warn(f"{len(tasks)} texts were left of {n} wanted")
    msg.good(f"{len(tasks)} texts for {format_}: {output}")
