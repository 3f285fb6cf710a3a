"""`spacy semivae annotate`: a corpus of any size through a trained pipeline."""

from pathlib import Path
from typing import TYPE_CHECKING

from spacy.cli._util import Arg, Opt
from tqdm import tqdm
from wasabi import msg

if TYPE_CHECKING:
    from ..annotate.run import AnnotateSettings, Annotation


def annotate_cli(
    model: str = Arg(..., help="Trained pipeline: a folder or package"),
    source: str = Arg(..., metavar="INPUT", help="Raw text: a file, a glob pattern or a folder"),
    output: Path = Arg(..., help="A .jsonl, .spacy or .parquet file, or a folder of shards"),
    format_: str | None = Opt(None, "--format", help="Of a folder: jsonl, spacy or parquet"),
    shard_size: int = Opt(5000, "--shard-size", help="Texts of a shard", min=1),
    batch_size: int | None = Opt(None, "--batch-size", help="Texts of a batch", min=1),
    n_process: int = Opt(1, "--n-process", "-n", help="Processes, each with the pipeline", min=1),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU, or -1 for CPU"),
    engine: str = Opt("local", "--engine", help="local, or ray: here or on RAY_ADDRESS"),
    on_error: str = Opt("raise", "--on-error", help="raise, or skip: to OUTPUT.rejects.jsonl"),
    code: Path | None = Opt(None, "--code", "-c", help="Python file with registered functions"),
    overwrite: bool = Opt(False, "--overwrite", help="Delete what an earlier run wrote"),
) -> None:
    """Annotate raw text. After an interruption the same command goes on with what is left."""
    from ..annotate.engines import WorkerDied
    from ..annotate.run import AnnotateSettings

    try:
        settings = AnnotateSettings(
            format=format_,
            shard_size=shard_size,
            batch_size=batch_size,
            n_process=n_process,
            gpu_id=gpu_id,
            engine=engine,
            on_error=on_error,
            code=code,
            overwrite=overwrite,
        )
        show(run(model, source, output, settings), output)
    except (ValueError, OSError, WorkerDied) as error:
        msg.fail("Cannot annotate the corpus", str(error), exits=1)


def run(model: str, source: str, output: Path, settings: "AnnotateSettings") -> "Annotation":
    """Annotate with a progress bar.

    model (str): The pipeline.
    source (str): The input.
    output (Path): The output.
    settings (AnnotateSettings): How to annotate.
    RETURNS (Annotation): What was done.
    """
    from ..annotate.corpus import count_texts
    from ..annotate.run import annotate
    from ..training.raw_text import find_files

    total = count_texts(find_files(source))
    with Bar(total=total, desc="Annotating", unit=" docs", disable=None) as bar:
        return annotate(model, source, output, settings, progress=bar.advance)


def show(done: "Annotation", output: Path) -> None:
    """Say what was done.

    done (Annotation): What was done.
    output (Path): The output.
    """
    if done.rejected:
        msg.warn(f"{done.rejected} lines or texts left out: {output}.rejects.jsonl")
    earlier = f" ({done.skipped} of them finished before)" if done.skipped else ""
    msg.good(f"{done.docs} Docs{earlier}: {output}")


class Bar(tqdm):  # type: ignore[type-arg]
    """A progress bar whose speed does not count what was finished before."""

    def advance(self, texts: int, before: bool) -> None:
        """Go on.

        texts (int): Texts that are done.
        before (bool): Whether an earlier run has done them.
        """
        if not before:
            self.update(texts)
        elif not self.disable:
            self.initial += texts
            self.n += texts
            self.last_print_n += texts
            self.refresh()
