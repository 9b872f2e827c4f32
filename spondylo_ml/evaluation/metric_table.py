"""The table of all metrics: to add a metric, add a row here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """Which values of a metric are better; `NEITHER` for counts, settings and rates with a target."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"


@dataclass(frozen=True)
class MetricDefinition:
    """One metric, or a family of metrics whose names differ in a placeholder such as `<k>`.

    Attributes:
        name: as it is logged, without prefix and suffix.
        label: short enough for the head of a column.
        digits: after the point, where the value is shown.
        meaning: one sentence.
    """

    name: str
    label: str
    unit: str
    direction: Direction
    digits: int
    meaning: str

    @property
    def heading(self) -> str:
        """Label and unit."""
        return f"{self.label} {self.unit}".rstrip()


@dataclass(frozen=True)
class Affix:
    """A prefix, which says of what a metric was measured, or a suffix, which says what of an estimate it is.

    Attributes:
        direction: of the metric with the affix; None where it is that of the metric.
    """

    text: str
    meaning: str
    direction: Direction | None = None


_LOWER, _HIGHER, _NEITHER = Direction.LOWER, Direction.HIGHER, Direction.NEITHER
_M = MetricDefinition

PLACEHOLDERS = {
    "k": r"\d+(?:\.\d+)?",
    "number": r"\d+",
    "level": r"[A-Z]\d+-[A-Z]\d+",
    "angle": "main|upper|lower",
    "name": ".+",
    "entry": "[^/]+",
    "run": "[^/]+",
    "baseline": "[^/]+",
    "first": "[^/]+",
    "second": "[^/]+",
}
"""Regular expression by placeholder; any other stands for a word of letters, digits and underscores."""

SECTIONS: dict[str, tuple[MetricDefinition, ...]] = {
    "Corners, by level name": (
        _M("mre_px512", "MRE", "px512", _LOWER, 2,
           "Mean distance between true and predicted corner (mean radial error)."),
        _M("mre_px", "MRE", "px", _LOWER, 2, "Mean distance between true and predicted corner."),
        _M("mre_mm", "MRE", "mm", _LOWER, 2,
           "Mean distance between true and predicted corner, on films of known pixel spacing."),
        _M("mre_body_percent", "MRE", "% of depth", _LOWER, 1,
           "Mean of that distance, relative to the depth of the true body."),
        _M("mse_px512", "MSE", "px512²", _LOWER, 1, "Mean squared distance between true and predicted corner."),
        _M("median_px512", "median", "px512", _LOWER, 2, "Median distance between true and predicted corner."),
        _M("p<k>_px512", "p<k>", "px512", _LOWER, 2,
           "Percentile <k> of the distance between true and predicted corner."),
        _M("sdr_<k>px", "SDR@<k>", "%", _HIGHER, 1,
           "Successful detection rate: share of the corners within <k> px512."),
        _M("sdr_<k>px640", "SDR@<k> px640", "%", _HIGHER, 1, "Share of the corners within <k> px640."),
        _M("sdr_<k>mm", "SDR@<k> mm", "%", _HIGHER, 1,
           "Share of the corners within <k> mm, over the films of known pixel spacing."),
        _M("n_corners", "corners", "", _NEITHER, 0, "True corners."),
        _M("n_missed", "missed corners", "", _LOWER, 0, "True corners without a predicted one."),
        _M("n_mm", "corners in mm", "", _NEITHER, 0, "True corners on films of known pixel spacing."),
        _M("mean_shape_mre_px512", "mean shape MRE", "px512", _NEITHER, 2,
           "`mre_px512` of the mean shape, the trivial predictor."),
    ),
    "Presence, by level name": (
        _M("presence_precision", "presence precision", "%", _HIGHER, 1,
           "Share of the predicted vertebrae whose level is on the film."),
        _M("presence_recall", "presence recall", "%", _HIGHER, 1,
           "Share of the true vertebrae whose level was predicted."),
        _M("presence_f1", "presence F1", "%", _HIGHER, 1, "Harmonic mean of presence precision and recall."),
    ),
    "Detection, by instance": (
        _M("detection_precision", "detection precision", "%", _HIGHER, 1,
           "Share of the predicted vertebrae that match a true one."),
        _M("detection_recall", "detection recall", "%", _HIGHER, 1,
           "Share of the true vertebrae that match a predicted one."),
        _M("detection_f1", "detection F1", "%", _HIGHER, 1, "Harmonic mean of detection precision and recall."),
        _M("named_right_percent", "right level", "%", _HIGHER, 1,
           "Share of the matched vertebrae whose level name is right."),
        _M("missing_per_film", "missing per film", "", _LOWER, 2, "Mean number of true vertebrae without a match."),
        _M("false_per_film", "false per film", "", _LOWER, 2, "Mean number of predicted vertebrae without a match."),
        _M("instance_mre_px512", "instance MRE", "px512", _LOWER, 2,
           "Mean distance between true and predicted corner of matched vertebrae."),
        _M("instance_sdr_<k>px", "instance SDR@<k>", "%", _HIGHER, 1,
           "Share of all true corners, missing vertebrae included, within <k> px512 of their match."),
        _M("instance_sdr_<k>px640", "instance SDR@<k> px640", "%", _HIGHER, 1,
           "Share of all true corners, missing vertebrae included, within <k> px640 of their match."),
        _M("oks_ap", "OKS AP", "%", _HIGHER, 1,
           "Average precision of COCO keypoints: mean over object keypoint similarities of 0.50 to 0.95."),
        _M("oks_ap<number>", "OKS AP<number>", "%", _HIGHER, 1,
           "Average precision at an object keypoint similarity of 0.<number>."),
        _M("n_instance_corners", "matched corners", "", _NEITHER, 0, "True corners of matched vertebrae."),
        _M("n_missing_vertebrae", "missing vertebrae", "", _LOWER, 0, "True vertebrae without a match."),
        _M("n_false_vertebrae", "false vertebrae", "", _LOWER, 0, "Predicted vertebrae without a match."),
    ),
    "Causes of the corner error": (
        _M("share_<cause>", "error share <cause>", "%", _NEITHER, 1,
           "Share of the summed corner error with the cause `<cause>`."),
    ),
    "Slip and grade": (
        _M("slip_mae_percent", "slip MAE", "% of endplate", _LOWER, 1, "Mean absolute error of the slip."),
        _M("slip_error_percent", "slip error", "% of endplate", _LOWER, 1,
           "Absolute error of the slip, as it is compared between models and minimised by studies."),
        _M("slip_mae_mm", "slip MAE", "mm", _LOWER, 2,
           "Mean absolute error of the slip in mm, over the films of known pixel spacing."),
        _M("slip_bias_percent", "slip bias", "% of endplate", _NEITHER, 1, "Mean of predicted less true slip."),
        _M("slip_limit_low_percent", "lower limit of agreement", "% of endplate", _NEITHER, 1,
           "Lower Bland-Altman limit of predicted less true slip."),
        _M("slip_limit_high_percent", "upper limit of agreement", "% of endplate", _NEITHER, 1,
           "Upper Bland-Altman limit of predicted less true slip."),
        _M("slip_slope", "slip slope", "", _NEITHER, 2,
           "Least squares slope of the predicted over the true slip. Below 1, large slips are predicted too small."),
        _M("slip_reproducibility_percent", "slip reproducibility", "% of endplate", _LOWER, 1,
           "What 95 % of the differences between two readers' slips stay below: 1.96 times their root mean square."),
        _M("slip_icc_2_1", "slip ICC(2,1)", "", _HIGHER, 3,
           "Intraclass correlation of true and predicted slip, absolute agreement."),
        _M("slip_icc_3_1", "slip ICC(3,1)", "", _HIGHER, 3,
           "Intraclass correlation of true and predicted slip, consistency."),
        _M("slip_withheld_percent", "slip withheld", "%", _LOWER, 1,
           "Share of the levels with a true slip whose predicted slip was withheld."),
        _M("grade_accuracy", "grade right, measured", "%", _HIGHER, 1,
           "Share of the measured levels with the right Meyerding grade."),
        _M("grade_accuracy_all", "grade right", "%", _HIGHER, 1,
           "Share of all levels with the right Meyerding grade; withheld ones count as wrong."),
        _M("grade_within_1", "grade within 1", "%", _HIGHER, 1,
           "Share of the measured levels whose grade is off by at most one."),
        _M("grade_kappa", "grade kappa", "", _HIGHER, 3, "Cohen's kappa of the grade with quadratic weights."),
        _M("listhesis_sensitivity", "listhesis sensitivity", "%", _HIGHER, 1,
           "Share of the measured levels of grade I or more that are predicted as grade I or more."),
        _M("listhesis_sensitivity_all", "listhesis sensitivity, all", "%", _HIGHER, 1,
           "Share of all levels of grade I or more predicted as such; withheld ones count as missed."),
        _M("listhesis_specificity", "listhesis specificity", "%", _HIGHER, 1,
           "Share of the measured levels of grade 0 that are predicted as grade 0."),
        _M("listhesis_auc", "listhesis AUC", "", _HIGHER, 3,
           "Area under the ROC curve of the predicted slip's size for grade I or more."),
        _M("facing_accuracy", "facing right", "%", _HIGHER, 1,
           "Share of the films whose facing, inferred from predicted corners, is right."),
    ),
    "Corners of AP films": (
        _M("nmse", "NMSE", "", _LOWER, 6,
           "Normalised mean squared error: mean of (dx / width)² + (dy / height)² of the film; 2 for a missed corner."),
        _M("or_<k>px704", "OR<k>", "%", _LOWER, 2,
           "Outlier rate: share of the corners missed or more than <k> px off, on the film scaled to a height of 704."),
        _M("sdr_<k>percent_of_diagonal", "SDR@<k> % of diagonal", "%", _HIGHER, 1,
           "Share of the corners within <k> % of the film's diagonal; 0.55, 1.1 and 1.66 % are 5, 10 and 15 px of "
           "640 x 640 px."),
    ),
    "Cobb angles of AP films": (
        _M("cobb_smape_percent", "Cobb SMAPE", "%", _LOWER, 2,
           "Symmetric mean absolute percentage error of the three Cobb angles (AASCE 2019)."),
        _M("cobb_cmae_deg", "Cobb CMAE", "°", _LOWER, 2,
           "Circular mean absolute error: mean over films of the mean direction of the three differences."),
        _M("cobb_ed_deg", "Cobb ED", "°", _LOWER, 2,
           "Mean Euclidean distance between the true and the predicted vector of the three angles."),
        _M("cobb_md_deg", "Cobb MD", "°", _LOWER, 2,
           "Mean Manhattan distance between these vectors: the sum of the three differences."),
        _M("cobb_<angle>_mae_deg", "Cobb <angle> MAE", "°", _LOWER, 1,
           "Mean absolute error of the <angle> Cobb angle."),
        _M("cobb_main_icc_2_1", "Cobb ICC(2,1)", "", _HIGHER, 3,
           "Intraclass correlation of true and predicted main Cobb angle, absolute agreement."),
    ),
    "Uncertainty": (
        _M("slip_set_coverage", "slip set coverage", "%", _NEITHER, 1,
           "Share of the true slips inside their conformal set; should be the stated coverage."),
        _M("slip_interval_coverage", "slip interval coverage", "%", _NEITHER, 1,
           "Share of the true slips inside the interval around their conformal set."),
        _M("grade_set_coverage", "grade set coverage", "%", _NEITHER, 1,
           "Share of the true grades among the grades that cannot be excluded."),
        _M("slip_not_known_percent", "slip not known", "%", _LOWER, 1,
           "Share of the levels whose slip set excludes nothing."),
        _M("slip_set_width_percent", "slip set width", "% of endplate", _LOWER, 1,
           "Median width of the slip set, of the levels whose slip is known."),
        _M("slip_interval_width_percent", "slip interval width", "% of endplate", _LOWER, 1,
           "Median width of the interval around the slip set."),
        _M("referred_percent", "referred", "%", _LOWER, 1,
           "Share of the levels referred to a reader: more than one grade or direction is possible."),
        _M("grade_accuracy_not_referred", "grade right, not referred", "%", _HIGHER, 1,
           "Share of the levels not referred with the right grade."),
        _M("grade_accuracy_referred", "grade right, referred", "%", _HIGHER, 1,
           "Share of the referred levels with the right grade."),
        _M("corner_coverage_<k>_before", "corners in <k> % region", "%", _NEITHER, 1,
           "Share of the true corners, of vertebrae on their own body, within the network's own nominal <k> % region."),
        _M("corner_coverage_<k>_after", "corners in calibrated <k> % region", "%", _NEITHER, 1,
           "Share of the true corners, of vertebrae on their own body, within the calibrated <k> % region."),
        _M("corner_coverage_curve_before", "corner coverage curve", "%", _NEITHER, 1,
           "`corner_coverage_<k>_before` as a curve; the step is k."),
        _M("corner_coverage_curve_after", "calibrated corner coverage curve", "%", _NEITHER, 1,
           "`corner_coverage_<k>_after` as a curve; the step is k."),
        _M("accuracy_of_surest_<k>", "grade right, surest <k> %", "%", _HIGHER, 1,
           "Grade accuracy of the <k> % of the levels with the most certain grade."),
        _M("referral_curve", "referral curve", "%", _HIGHER, 1, "`accuracy_of_surest_<k>` as a curve; the step is k."),
    ),
    "Training and cost": (
        _M("loss", "loss", "", _LOWER, 3, "Training loss, the sum of its weighted parts."),
        _M("loss_<part>", "loss <part>", "", _LOWER, 3, "Part `<part>` of the training loss, weighted."),
        _M("learning_rate", "learning rate", "", _NEITHER, 6, "Learning rate of the epoch."),
        _M("epoch", "epoch", "", _NEITHER, 0, "Epoch of the best weights."),
        _M("epoch_s", "epoch", "s", _LOWER, 1, "Time of an epoch, validation included."),
        _M("films_per_s", "speed", "films/s", _HIGHER, 1, "Training films per second, validation not counted."),
        _M("parameters", "parameters", "", _LOWER, 0, "Parameters of the network."),
        _M("best_epoch", "best epoch", "", _NEITHER, 1,
           "Epoch with the lowest `val/mre_px512`, whose weights are kept."),
        _M("epochs", "epochs", "", _NEITHER, 1, "Epochs that were trained."),
        _M("training_s", "training", "s", _LOWER, 0, "Time of all epochs and their validations."),
        _M("latency_ms", "time per film", "ms", _LOWER, 1, "Median time to predict one film."),
        _M("threads", "threads", "", _NEITHER, 0, "CPU threads of PyTorch while the time was measured."),
        _M("peak_memory_mb", "peak memory", "MB", _LOWER, 0,
           "Most main memory of the training process, without the workers of its loader."),
        _M("peak_gpu_memory_mb", "peak GPU memory", "MB", _LOWER, 0, "Most GPU memory held by tensors."),
    ),
    "Promotion": (
        _M("worst_source_px512", "MRE of the worst source", "px512", _LOWER, 2,
           "`mre_px512` of the source of films with the highest one."),
        _M("calibration_error", "coverage error", "points", _LOWER, 1,
           "Distance of `slip_set_coverage` from the stated coverage, to either side."),
    ),
    "Films, diagnosis and audit": (
        _M("n_films", "films", "", _NEITHER, 0, "Films of the part."),
        _M("n_labelled", "labelled films", "", _NEITHER, 0, "Films of the part with labels."),
        _M("checks_failed", "failed checks", "", _LOWER, 0, "Checks of a diagnosis that failed."),
        _M("dead_channels_percent", "dead channels", "%", _LOWER, 1,
           "Share of the channels whose output never changes."),
        _M("films/<what>", "<what>", "", _NEITHER, 0,
           "Number of films, patients, vertebrae or slips that an audit read."),
        _M("audit/<severity>", "<severity>", "", _LOWER, 0, "Findings of an audit, by severity."),
        _M("audit/check/<check>", "<check>", "", _LOWER, 0, "Findings of the audit's check `<check>`."),
    ),
    "Corrections of drafts": (
        _M("reviewed_films", "reviewed films", "", _NEITHER, 0, "Films whose drafts a person has reviewed."),
        _M("films_corrected_percent", "films corrected", "%", _LOWER, 1,
           "Share of the reviewed films with a correction."),
        _M("moved_percent", "corners moved", "%", _LOWER, 1,
           "Share of the drafted corners that a person moved, of those that were kept."),
        _M("move_px512", "distance to correction", "px512", _LOWER, 2,
           "Mean distance from drafted to corrected corner; 0 for a corner that was not moved."),
        _M("move_px", "distance to correction", "px", _LOWER, 2, "The same in px of the film."),
        _M("move_mm", "distance to correction", "mm", _LOWER, 2, "The same, on films of known pixel spacing."),
        _M("moved_by_px512", "distance of moved corners", "px512", _LOWER, 2,
           "Mean distance from drafted to corrected corner, of those that were moved."),
        _M("moved_by_mm", "distance of moved corners", "mm", _LOWER, 2, "The same, on films of known pixel spacing."),
        _M("renamed_percent", "renamed", "%", _LOWER, 1,
           "Share of the drafted vertebrae whose level a person changed, of those that were kept."),
        _M("removed_percent", "removed", "%", _LOWER, 1, "Share of the drafted vertebrae that a person removed."),
        _M("added_percent", "added", "%", _LOWER, 1, "Share of the corrected vertebrae that a person added."),
    ),
    "Studies and benchmarks": (
        _M("trainings/<state>", "<state> training runs", "", _NEITHER, 0, "Training runs of a benchmark, by state."),
        _M("trials/<state>", "<state> trials", "", _NEITHER, 0, "Trials of a study that are in the state `<state>`."),
        _M("best/trial", "best trial", "", _NEITHER, 0, "Number of the best trial of a study."),
        _M("objective/<number>", "objective <number>", "", _NEITHER, 4, "Value of a trial's objective, by place."),
        _M("pruning/reports_saved", "reports saved", "", _HIGHER, 2,
           "Share of the epochs (or folds) that pruning saved."),
        _M("seeds/n", "seeds", "", _NEITHER, 0, "Seeds with which the best configuration was trained again."),
    ),
    "Machine": (
        _M("system/<name>", "<name>", "", _NEITHER, 1,
           "MLflow's own metrics of processor, memory, disk, network and GPU."),
    ),
}  # fmt: skip
"""Metrics by section of the documentation."""

PREFIXES = (
    Affix("train/", "Training films, of an epoch."),
    Affix("val/", "Validation films, of an epoch."),
    Affix("val_best/", "Validation films, of the epoch whose weights are kept; of a benchmark, its best entry."),
    Affix("val_uncertainty/", "Validation films, each patient by a calibration on the others."),
    Affix("eval/", "Films of an evaluation."),
    Affix("<level>/", "Levels of this name alone, such as `eval/L5-S1/referred_percent`."),
    Affix("grade_<number>/", "Levels of this true grade alone."),
    Affix("out_of_fold/", "All films of a cross-validation, each predicted by the fold that was not trained on it."),
    Affix("folds/", "Spread between the folds of a cross-validation."),
    Affix("cost/", "What a training run cost."),
    Affix("time/", "Time of an epoch."),
    Affix("diagnosis/", "Films of a diagnosis."),
    Affix("<run> minus <baseline>/", "Paired difference of a compared run from the first."),
    Affix("readers/<first>-<second>/", "Two readers, or a model and a reader: the second against the first, as truth."),
    Affix("readers/all/", "All pairs of readers."),
    Affix("corrections/", "Drafts against the labels that people corrected, as truth; of the reviewed films."),
    Affix("difference_<number>/", "The same in runs of version 0.1, for compared run `<number>`."),
    Affix("noise_floor/", "Difference that another seed alone makes: 95 % of pairs of seeds differ by less.", _LOWER),
    Affix("<entry>/noise_floor/", "The noise floor of one entry of a benchmark.", _LOWER),
    Affix("best/", "Best trial of a study, in older runs; now `val_best/`."),
    Affix("seeds/", "The best configuration of a study, over seeds."),
)

SUFFIXES = (
    Affix("_low", "Lower limit of the 95 % interval over patients."),
    Affix("_high", "Upper limit of the 95 % interval over patients."),
    Affix("_n", "Observations (corners, vertebrae, levels, films or folds) behind the value.", _NEITHER),
    Affix("_mean", "Mean over folds or seeds."),
    Affix("_sd", "Standard deviation between folds or seeds.", _LOWER),
    Affix("_min", "Lowest of the folds."),
    Affix("_max", "Highest of the folds."),
    Affix("_p", "p-value of Wilcoxon's signed-rank test over patients.", _NEITHER),
    Affix("_effect", "Rank-biserial correlation of that test: 1 where all patients are better.", _HIGHER),
)
