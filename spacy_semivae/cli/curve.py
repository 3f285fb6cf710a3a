"""`spacy semivae curve`: what labels and raw text add, as a table, a picture and a sentence."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import srsly
import typer
from spacy.cli._util import Arg, Opt, import_code, parse_config_overrides, setup_gpu
from spacy.util import load_config
from thinc.api import Config
from tqdm import tqdm
from wasabi import msg

if TYPE_CHECKING:
    from ..analysis.curve.curve import Curve, CurveSettings
    from ..analysis.curve.point import Job
    from ..analysis.curve.summary import Summary

HEADER = ("labelled", "raw", "seeds", "score, %", "±", "gain", "95 %")


def curve_cli(
    ctx: typer.Context,
    config_path: Path = Arg(..., help="Training config with a [semivae] block", exists=True),
    output: Path = Arg(..., help="Folder for points, table and picture"),
    labeled: str = Opt(
        "25%,50%,75%,100%", "--labeled", help="Amounts of labelled Docs: numbers, shares, all"
    ),
    raw: str | None = Opt(
        None, "--raw", help="Amounts of raw Docs [default: 0, n, 2n, all for n labelled Docs]"
    ),
    seeds: int = Opt(3, "--seeds", help="Runs of each amount", min=1),
    metric: str | None = Opt(None, "--metric", help="Score [default: that of the highest weight]"),
    test: Path | None = Opt(None, "--test", help="Docs to measure instead of dev", exists=True),
    twin: list[str] = Opt([], "--twin", help="Setting of the supervised twin alone: NAME=VALUE"),
    more: int = Opt(100, "--more", help="Labels for which the curve is continued", min=1),
    jobs: int = Opt(1, "--jobs", "-j", help="Points at a time, a process each", min=1),
    plot: bool = Opt(True, "--plot/--no-plot", help="Draw curve.png; needs matplotlib"),
    code: Path | None = Opt(None, "--code", "-c", help="Python file with registered functions"),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU, or -1 for CPU"),
    overwrite: bool = Opt(False, "--overwrite", help="Delete an earlier curve in the folder"),
) -> None:
    """Train with and without raw text on several amounts of both, and say whether it helps.

    Settings of the config are overridden as in `train`: --paths.train labeled.spacy. After an
    interruption the same command goes on; more amounts or seeds can be added later.
    """
    from ..analysis.curve.curve import CurveSettings
    from ..analysis.curve.plot import check_matplotlib

    try:
        overrides = parse_config_overrides(ctx.args)
        import_code(code)
        if plot:
            check_matplotlib()
        settings = CurveSettings(
            labeled=labeled,
            raw=raw,
            seeds=seeds,
            metric=metric,
            test=test,
            twin=dict(read_setting(text) for text in twin),
            jobs=jobs,
            gpu_id=gpu_id,
            code=code,
            overwrite=overwrite,
        )
        config = load_config(config_path, overrides=overrides, interpolate=False)
        curve = train_points(config, output, settings)
    except click.NoSuchOption as error:
        msg.fail(error.message, "Settings of the config are overridden by --section.name", exits=1)
    except (ValueError, OSError) as error:
        msg.fail("Cannot make the curve", str(error), exits=1)
    except KeyboardInterrupt:
        msg.warn("Interrupted: the same command goes on")
        raise typer.Exit(130) from None
    else:
        finish(curve, output, more=more, plot=plot)


def train_points(config: Config, output: Path, settings: "CurveSettings") -> "Curve":
    """Train what has no result yet, with a progress bar.

    config (Config): The config, not interpolated.
    output (Path): The curve's folder.
    settings (CurveSettings): How it is made.
    RETURNS (Curve): The results.
    """
    from ..analysis.curve.curve import plan_curve, run_curve

    if settings.gpu_id >= 0:
        setup_gpu(settings.gpu_id)
    points = plan_curve(config, output, settings)
    started: set[Path] = set()
    with tqdm(total=len(points), desc="Points", disable=None) as bar:

        def on_start(job: "Job") -> None:
            started.add(job.folder)
            bar.set_postfix_str(str(job.point))

        def on_end(job: "Job", result: dict[str, Any] | None) -> None:
            if job.folder not in started:  # an earlier run has done it
                bar.total -= 1
                return
            bar.update(1)
            text = "failed"
            if result is not None:
                text = f"{100 * result['score']:.2f} ({result['seconds']:.0f} s)"
            bar.write(f"{job.point}: {text}")

        curve = run_curve(points, settings.jobs, on_start=on_start, on_end=on_end)
    reused = len(points) - len(started)
    if reused:
        msg.info(f"{reused} of {len(points)} points were finished before")
    return curve


def finish(curve: "Curve", output: Path, *, more: int, plot: bool) -> None:
    """Write and show what a curve says; ends with code 1 where a point failed.

    curve (Curve): The curve.
    output (Path): Its folder.
    more (int): Labels for which it is continued.
    plot (bool): Whether to draw it.
    """
    from ..analysis.curve.plot import draw_curve
    from ..analysis.curve.summary import summarize, write_summary

    summary = summarize(curve, more=more)
    write_summary(summary, output)
    if plot and summary.cells:
        draw_curve(summary, output)
    show(summary)
    msg.info(f"Table, summary{' and picture' if plot else ''}: {output}")
    for point, error in summary.failed.items():
        msg.fail(f"Failed: {point}", error)
    if summary.failed:
        msg.text(f"The same command tries them again; logs: {output / 'points'}")
        raise typer.Exit(1)


def show(summary: "Summary") -> None:
    """Print the table and what it means.

    summary (Summary): What the curve says.
    """
    rows = []
    for cell in summary.cells:
        deviation = "" if cell.deviation is None else f"{cell.deviation:.2f}"
        row = (f"{cell.labeled:,}", f"{cell.raw:,}", len(cell.scores), f"{cell.mean:.2f}")
        gain = cell.gain
        test = (f"{gain.mean:+.2f}", f"{gain.low:+.2f} to {gain.high:+.2f}") if gain else ("", "")
        rows.append((*row, deviation, *test))
    msg.divider(summary.metric)
    msg.table(rows, header=HEADER, aligns=("r",) * len(HEADER), divider=True)
    msg.info(summary.verdict)
    msg.text(summary.outlook)


def read_setting(text: str) -> tuple[str, Any]:
    """Read a setting of the twin.

    text (str): NAME=VALUE, the value as in a config.
    RETURNS (tuple[str, Any]): Its dotted name and its value.
    RAISES (ValueError): Without a dot in the name or a value.
    """
    name, sign, value = text.partition("=")
    if not sign or "." not in name:
        raise ValueError(f"a setting of the twin must be section.name=value (got {text!r})")
    try:
        return name, srsly.json_loads(value)
    except ValueError:
        return name, value
