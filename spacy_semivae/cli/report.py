"""`spacy semivae report`: a page on how a pipeline was trained, how good and how sure it is."""

from pathlib import Path

from spacy.cli._util import Arg, Opt, import_code, setup_gpu
from wasabi import msg


def report_cli(
    output: Path = Arg(..., help="Output folder of `train`, or a pipeline in it", exists=True),
    dev: Path | None = Opt(
        None, "--dev", "-d", help="Annotated Docs; else the config's dev corpus"
    ),
    page: Path | None = Opt(None, "--output", "-o", help="The page; OUTPUT/report.html if not set"),
    projection: str = Opt("tsne", "--projection", "-p", help="Of the latents: tsne or pca"),
    seed: int = Opt(0, "--seed", help="Seed of what is drawn: points, latents"),
    code: Path | None = Opt(None, "--code", "-c", help="Python file with registered functions"),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU, or -1 for CPU"),
) -> None:
    """Write one self-contained HTML page about a trained pipeline and its dev corpus."""
    from ..analysis.report import make_report

    setup_gpu(gpu_id, silent=True)
    import_code(code)
    try:
        written = make_report(
            output, dev, page, projection=projection, seed=seed, progress=msg.info
        )
    except (ImportError, ValueError, OSError) as error:
        msg.fail("Cannot write the report", str(error), exits=1)
    msg.good(f"{written} ({written.stat().st_size / 1e6:.1f} MB)")
