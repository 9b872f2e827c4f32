"""Load, audit and prepare the films of a training run."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace

from spondylo_ml.config import Config
from spondylo_ml.config.optimisation import MOST_EPOCHS
from spondylo_ml.config.resolve import validate
from spondylo_ml.data.audit.findings import Audit, require_no_errors
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.left_out import TrainingFilms, leave_out, without_impossible_corners
from spondylo_ml.data.letterbox import common_input_hw
from spondylo_ml.data.loading import first_of, load_audited_films, require_usable_corner
from spondylo_ml.data.prepare import PreparedFilm, prepare_films
from spondylo_ml.data.split import require_parts
from spondylo_ml.errors import ConfigError
from spondylo_ml.film_bar import film_bar
from spondylo_ml.landmarks import Film, SlotRange

log = logging.getLogger(__name__)


def load_training_films(config: Config) -> tuple[FilmSet, Audit, TrainingFilms]:
    """Load and audit the films and leave out unusable labels; logs what was read and found.

    Raises:
        DataError: as `load_films`; or errors of the audit under `data.on_audit_error=error`.
    """
    films, audit = load_all_films(config)
    used = leave_out(films, audit, config.data.on_audit_error)
    if used.findings:
        log.warning(
            "%d vertebra(e) and %d film(s) left out of the training run: %s",
            used.vertebrae,
            used.whole_films,
            first_of(used.findings),
        )
    require_parts(used.films.films)
    return replace(used.films, notes=(*used.films.notes, *used.findings)), audit, used


def load_all_films(config: Config) -> tuple[FilmSet, Audit]:
    """Load and audit the films with all their labels; logs what was read and found.

    Raises:
        DataError: as `load_training_films`.
    """
    films, audit = load_audited_films(config.data)
    counts = ", ".join(f"{len(films.part(part))} {part}" for part in ("train", "val", "test"))
    # Reading has already reported bad files, or skipped them if so configured.
    audit = replace(audit, findings=tuple(finding for finding in audit.findings if finding.check != "bad_file"))
    by_severity = audit.counts()
    found = ", ".join(
        f"{by_severity[f'{kind}s']} {kind}(s)" for kind in ("error", "warning") if by_severity[f"{kind}s"]
    )
    audited = f"audit: {found}: see `python -m spondylo_ml audit`" if found else "audit: no errors or warnings"
    log.info("%s: %d films (%s); %s", films.name, len(films.films), counts, audited)
    require_no_errors(audit, config.data.on_audit_error, config.data.path or films.name)
    return films, audit


def resolve_from_films(config: Config, films: FilmSet) -> Config:
    """Set the values of the configuration that depend on the films: kind, input size, slots, epochs.

    Raises:
        ConfigError: the film passes are too many epochs of these films, or their shape makes the input too large.
    """
    data, training = config.data, config.training
    n_train = sum(film.labelled for film in films.part("train"))
    input_hw = data.input_hw or common_input_hw(
        [f.size_hw for f in films.films], data.input_side_px, config.model.size_multiple
    )
    per_epoch = n_train * training.shown_per_epoch(n_train)
    epochs = training.epochs or math.ceil((training.film_passes or 1) / per_epoch)
    if epochs > MOST_EPOCHS:
        raise ConfigError(
            f"training.film_passes: given {training.film_passes}, which are {epochs} epochs of {per_epoch} films; at "
            f"most {MOST_EPOCHS} epochs are allowed. Give fewer passes, or training.least_epoch_films to show each "
            "film several times in an epoch"
        )
    resolved = config.model_copy(
        update={
            "data": data.model_copy(
                update={
                    "kind": films.kind,
                    "input_hw": input_hw,
                    "first_slot": films.slots.first,
                    "n_slots": films.slots.count,
                }
            ),
            "training": training.model_copy(update={"epochs": epochs}),
        }
    )
    try:
        return validate(Config, resolved.model_dump(mode="json"))  # as the trained model is read again
    except ConfigError as error:
        raise ConfigError(
            f"{error}. This follows from the films; set data.input_hw, or a smaller data.input_side_px"
        ) from None


def prepare_parts(
    config: Config, train: Sequence[Film], val: Sequence[Film], slots: SlotRange
) -> dict[str, list[PreparedFilm]]:
    """Resize the labelled films of both parts to the network's input size; the configuration must be resolved.

    Raises:
        NoUsableCornerError: a part has no usable corner.
    """
    assert config.data.input_hw is not None
    train = [without_impossible_corners(film) for film in train]  # folds may train on films of the validation part
    for part, films in (("train", train), ("val", val)):
        require_usable_corner(films, part, slots)
    labelled = {part: [film for film in films if film.labelled] for part, films in (("train", train), ("val", val))}
    count = sum(map(len, labelled.values()))
    with film_bar("preparing films", count) as bar:
        return {part: prepare_films(films, slots, config.data.input_hw, bar.update) for part, films in labelled.items()}
