"""Whether a training run can be resumed on this machine, found out before it is opened."""

from __future__ import annotations

from spondylo_ml.errors import TrackingError
from spondylo_ml.tracking.checkpoints import checkpoint_folder
from spondylo_ml.tracking.resume import Resume, find_resume
from spondylo_ml.training.checkpoint_files import files_in
from spondylo_ml.training.resume_point import ResumePoint, find_resume_point


def find_resumable(run_id: str) -> tuple[Resume, ResumePoint]:
    """The training run of this id and the whole checkpoints from which it resumes; changes nothing.

    Raises:
        TrackingError, DataError: it cannot be resumed: there is no checkpoint here, or those that it needs are damaged.
        OSError: a checkpoint cannot be read.
    """
    if not files_in(checkpoint_folder(run_id)):
        raise TrackingError("there is no checkpoint of it on this machine")
    resume = find_resume(run_id)
    return resume, find_resume_point(resume.checkpoint)
