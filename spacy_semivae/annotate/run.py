"""Annotate a corpus: read it, cut it into shards, hand them to an engine, note what is finished."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from spacy.util import is_package

from ..training.raw_text import RawTextError, Rejects, find_files, raise_error, read_records
from .corpus import check_apart, find_root
from .engines import run_here, run_pool
from .manifest import (
    describe_run,
    find_model,
    hash_files,
    note_finished,
    read_finished,
    write_finished,
)
from .on_ray import import_ray, run_ray
from .output import Output, find_output
from .shards import Done, Job, Shard, cut_shards
from .writers import import_pyarrow

ENGINES = ("local", "ray")
SHARD_SIZE = 5000
ProgressT = Callable[[int, bool], None]
EngineT = Callable[[Job, Iterable[Shard], Callable[[int], None]], Iterable[Done]]


@dataclass(frozen=True, kw_only=True)
class AnnotateSettings:
    """How to annotate.

    format (str | None): "jsonl", "spacy" or "parquet"; None for that of the output's suffix.
    shard_size (int): Texts of a shard: what is lost at most, for each process, by a restart.
    batch_size (int | None): Texts of a batch; None for the pipeline's own setting.
    n_process (int): Processes, each with a copy of the pipeline; 1 works in this one.
    gpu_id (int): GPU, or -1 for the CPU.
    engine (str): "local" or "ray".
    on_error (str): "raise" to stop at the first bad line or text, "skip" to write it to
        `<output>.rejects.jsonl` and go on.
    code (str | Path | None): Python file with registered functions of the pipeline.
    overwrite (bool): Delete what an earlier run wrote to the output.
    RAISES (ValueError): When a setting is out of range.
    """

    format: str | None = None
    shard_size: int = SHARD_SIZE
    batch_size: int | None = None
    n_process: int = 1
    gpu_id: int = -1
    engine: str = "local"
    on_error: str = "raise"
    code: str | Path | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in ("shard_size", "batch_size", "n_process"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be 1 or more, got {value}")
        if self.engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {self.engine!r}")
        if self.on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', got {self.on_error!r}")


@dataclass(frozen=True)
class Annotation:
    """What `annotate` did.

    files (list[Path]): The output.
    docs (int): Docs in it.
    rejected (int): Bad lines and texts that were left out.
    skipped (int): Docs of them that an earlier run had finished.
    """

    files: list[Path]
    docs: int
    rejected: int
    skipped: int


def annotate(
    model: str | Path,
    source: str | Path,
    output: str | Path,
    settings: AnnotateSettings | None = None,
    *,
    progress: ProgressT | None = None,
) -> Annotation:
    """Annotate a corpus of any size, or go on with it where an earlier call was cut off.

    model (str | Path): The pipeline, a folder or package.
    source (str | Path): A file, a glob pattern or a folder of raw text.
    output (str | Path): A file with the suffix of a format, else a folder of shards.
    settings (AnnotateSettings | None): How to annotate.
    progress (Callable | None): Called with a number of texts, and whether they had been finished
        before.
    RETURNS (Annotation): What was done.
    RAISES (ValueError): For wrong settings, a bad line or text, and when input or pipeline are not
        those that the output was begun with.
    RAISES (WorkerDied): When a worker process was killed.
    """
    settings = settings or AnnotateSettings()
    target = find_output(output, settings.format)
    if target.format == "parquet":
        import_pyarrow()
    if settings.engine == "ray":
        import_ray()
    files = find_files(source)
    check_apart(source, files, target)
    job = make_job(model, files, target, settings)
    manifest = describe_run(job, files, shard_size=settings.shard_size)
    if not target.open(manifest, overwrite=settings.overwrite):
        return Annotation([target.path], 0, 0, 0)
    target.rejects.unlink(missing_ok=True)
    rejects = Rejects(target.rejects)
    run = Run(job, files, rejects, settings, progress or (lambda texts, before: None))
    run.annotate()
    target.sort_rejects()
    rejected = len(rejects.seen)
    totals = {"docs": run.docs, "shards": len(run.shards), "rejected": rejected}
    paths = [job.path(number) for number in sorted(run.shards)]
    written = target.close(paths, {**manifest, "finished": totals})
    return Annotation(written, run.docs, rejected, run.skipped)


class Run:
    """A corpus that is being annotated.

    job (Job): What workers must know.
    files (list[Path]): The input.
    rejects (Rejects): Takes what is left out.
    settings (AnnotateSettings): How to annotate.
    progress (Callable): Told of texts that are done.
    """

    def __init__(
        self,
        job: Job,
        files: list[Path],
        rejects: Rejects,
        settings: AnnotateSettings,
        progress: ProgressT,
    ) -> None:
        self.job = job
        self.files = files
        self.settings = settings
        self.progress = progress
        self.report = rejects if settings.on_error == "skip" else raise_error
        self.finished = read_finished(job)
        self.shards: set[int] = set()
        self.docs = self.skipped = 0
        self.error: ValueError | None = None

    def annotate(self) -> None:
        """Annotate all shards that are not finished.

        RAISES (ValueError): For a bad line or text; shards that were under way are finished first.
        """
        write_finished(self.job.folder, self.finished)
        shards = self._read_shards()
        for first in shards:  # no engine is started where nothing is left to do
            rest = chain([first], shards)
            for done in self._choose_engine()(self.job, rest, self._tell):
                if self._take(done):
                    note_finished(self.job.folder, done)
                    self.finished[done.number] = done
        if self.error is not None:
            raise self.error
        write_finished(self.job.folder, self.finished)

    def _choose_engine(self) -> EngineT:
        n_process = self.settings.n_process
        if self.settings.engine == "ray":
            return partial(run_ray, n_process=n_process)
        return run_here if n_process == 1 else partial(run_pool, n_process=n_process)

    def _tell(self, texts: int) -> None:
        self.progress(texts, False)

    def _read_shards(self) -> Iterator[Shard]:
        """Give shards that are not finished; an error ends them, for it is not the engine's."""
        records = read_records(self.files, on_error=self.report)
        try:
            for shard in cut_shards(records, self.settings.shard_size):
                self.shards.add(shard.number)
                if shard.number in self.finished:
                    self._skip(shard)
                else:
                    yield shard
                if self.error is not None:
                    return
        except ValueError as error:
            self.error = error

    def _skip(self, shard: Shard) -> None:
        done = self.finished[shard.number]
        if done.digest != shard.digest():
            raise ValueError(
                f"the texts of {self.job.path(shard.number)} have changed since it was written: "
                "--overwrite starts anew"
            )
        self._take(done)
        self.skipped += done.docs
        self.progress(len(shard.records), True)

    def _take(self, done: Done) -> bool:
        """RETURNS (bool): Whether the shard was written: not so if a bad text ended the run."""
        self.docs += done.docs
        try:
            for path, line, rule, text in done.rejected:
                self.report(RawTextError(Path(path), line, rule, text))
        except RawTextError as error:
            self.error = self.error or error
            return False
        return True


def make_job(
    model: str | Path, files: Sequence[Path], output: Output, settings: AnnotateSettings
) -> Job:
    """Say what workers must know.

    model (str | Path): The pipeline.
    files (Sequence[Path]): The input.
    output (Output): The output.
    settings (AnnotateSettings): How to annotate.
    RETURNS (Job): With paths that do not depend on where a worker runs.
    RAISES (ValueError): When there is no such pipeline.
    """
    found = find_model(str(model))
    return Job(
        model=str(model) if is_package(str(model)) else str(found.resolve()),
        model_hash=hash_files(found),
        code=None if settings.code is None else str(Path(settings.code).resolve()),
        gpu_id=settings.gpu_id,
        batch_size=settings.batch_size,
        stop=settings.on_error == "raise",
        format=output.format,
        folder=output.folder.resolve(),
        root=find_root(files),
    )
