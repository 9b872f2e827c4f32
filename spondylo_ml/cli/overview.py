"""The commands in a sentence each, for the usage line; nothing slow is imported here."""

from __future__ import annotations

TUNE, RESUMES_STUDY = "tune", "The same command resumes the study."

SUMMARIES = {
    "train": "Train a model and log it to MLflow.",
    "benchmark": "Train several entries under one budget of minutes on the same films, and rank them.",
    "evaluate": "Evaluate the best model of a run on the films of any dataset.",
    "diagnose": "Diagnose a finished run: its checks, the causes of its error, dead channels.",
    "compare": "Compare the models of two or more runs on the same films.",
    "ui": "Start the MLflow UI on the project's store, and open the leaderboard.",
    "audit": "Check a dataset before anyone trusts it; logs a report with pictures.",
    "readers": "Compare several readers' labels of the same films, and a model with them; write their consensus.",
    "corrections": "Tell what people corrected in a model's drafts, by level and over time.",
    "next": "Choose the unlabelled films to label first: a list, a page, and tasks for a labelling tool.",
    "export": "Write films in another layout, and list what that layout cannot carry.",
    "deidentify": "De-identify DICOM films for research: write new headers and mask text in the pixels.",
    "phantom": "Draw synthetic films and write them in any layout.",
    "predict": "Read films with a trained model: corners, slips, grades, overlays and reports.",
    "promote": "Compare models with the champion; the better one takes its place in the registry.",
    "registry": "Show who was champion, when, and why replaced.",
    "show": "Draw films with their labels and a model's predictions and heatmaps, as pictures and on one page.",
    "preview": "Draw training films as the network will see them, prepared and augmented; trains nothing.",
    "spacing": "Measure the pixel spacing, with its uncertainty, by a known length or a ruler, or read it from DICOM.",
    "list": "List runs, registered models or studies, newest or best first.",
    "clean": "List old runs, their files and checkpoints that nothing keeps, and delete them with --delete true.",
    "export-onnx": "Write a model with its network in ONNX as well, if that computes the same.",
    "convert-model": "Write a model of an older format in the current one, with digests of its files.",
    TUNE: "Search a space of configurations; the same study name resumes it, also from several machines at once.",
    "completion": "Print a script that completes commands and options in bash, zsh or fish.",
}
