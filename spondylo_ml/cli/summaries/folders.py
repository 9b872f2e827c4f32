"""Summaries of the commands that write films or models to a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spondylo_ml.disclaimer import DISCLAIMER

if TYPE_CHECKING:
    from spondylo_ml.workflows.convert_model import ConversionResult
    from spondylo_ml.workflows.export import ExportResult
    from spondylo_ml.workflows.export_onnx import OnnxExportResult

LISTED_REMARKS = 10


def export_summary(result: ExportResult) -> str:
    """Summary of an export of films."""
    films, folder = result.written.films, result.written.folder
    labelled = sum(film.labelled for film in films.films)
    remarks = (*films.bad_files, *films.notes)
    lines = [
        f"{len(films.films)} film(s), {labelled} with labels, written as {films.kind} to {folder}",
        f"digest {result.digest}",
        *(f"not stored by this layout: {loss}" for loss in result.written.losses),
        *(f"remark when read back: {remark}" for remark in remarks[:LISTED_REMARKS]),
    ]
    if len(remarks) > LISTED_REMARKS:
        lines.append(f"and {len(remarks) - LISTED_REMARKS} more")
    return "\n".join(lines)


def onnx_export_summary(result: OnnxExportResult) -> str:
    """Summary of an ONNX export, with the check and the speed of both networks."""
    from spondylo_ml.serving.bundle import NETWORK, PARITY  # slow

    report = result.report
    corners, grades, speed = report["corners"], report["grades"], report["speed"]
    tensors = ", ".join(f"{name} {one['largest_difference']:.2g}" for name, one in report["tensors"].items())
    lines = [
        f"{result.model}: written with {NETWORK} to {result.folder}",
        f"checked on {report['films']['count']} synthetic films, seed {report['films']['seed']} ({PARITY}):",
        f"  largest difference of a tensor: {tensors}",
        f"  {corners['compared']} corners, largest difference {corners['largest_difference_px']:.2g} px",
        f"  {grades['compared']} grades, {len(grades['different'])} different, "
        f"{len(grades['different_near_a_limit'])} different within {report['limits']['near_a_limit_points']} points "
        f"of a limit, largest difference of a slip {grades['largest_slip_difference_points']:.2g} points",
        f"network time in milliseconds, {speed['threads']} thread(s):",
    ]
    for batch, milliseconds in speed["milliseconds_a_batch"].items():
        times = ", ".join(f"{name} {value:g}" for name, value in milliseconds.items() if name != "rounds")
        lines.append(f"  batch of {batch}: {times}")
    lines.append(
        f"to use it: python -m spondylo_ml predict --model {result.folder} --backend onnx --films ... --to ..."
    )
    return "\n".join([*lines, DISCLAIMER])


def conversion_summary(result: ConversionResult) -> str:
    """Summary of a converted model."""
    return "\n".join(
        [
            f"{result.source} written to {result.folder} in the current format",
            f"digest {result.digest}",
            "The old format has no digests: the files could not be verified. "
            "Keep this digest, and give it with the model:",
            f"python -m spondylo_ml predict --model {result.folder} --digest {result.digest} --films ... --to ...",
            DISCLAIMER,
        ]
    )
