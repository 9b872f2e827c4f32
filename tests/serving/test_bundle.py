"""A model on disk: unchanged when loaded; refused when missing, truncated, changed or invalid."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_models import unet_bundle

from spondylo_ml.cli.summaries.folders import conversion_summary
from spondylo_ml.config import ConvertModelConfig, PredictConfig, validate
from spondylo_ml.errors import ConfigError, DataError
from spondylo_ml.serving.bundle import Bundle, bundle_digest, load_bundle, read_network, save_bundle
from spondylo_ml.serving.bundle_formats import convert_bundle
from spondylo_ml.serving.model_source import find_model
from spondylo_ml.workflows.convert_model import convert_model


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return unet_bundle()


@pytest.fixture(scope="module")
def saved(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    save_bundle(bundle, folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def test_a_bundle_is_loaded_as_saved_and_on_the_cpu(bundle: Bundle, folder: Path) -> None:
    loaded = load_bundle(folder)
    assert {path.name for path in folder.iterdir()} == {"bundle.json", "manifest.json", "weights.safetensors"}
    for (name, before), (_, after) in zip(
        bundle.model.state_dict().items(), loaded.model.state_dict().items(), strict=True
    ):
        assert torch.equal(before, after), name
        assert after.device.type == "cpu"
    assert (loaded.config, loaded.uncertainty) == (bundle.config, bundle.uncertainty)
    assert not loaded.model.training


def test_the_manifest_holds_the_digest_of_each_file_and_has_a_digest_itself(folder: Path, saved: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in ("bundle.json", "weights.safetensors"):
        data = (folder / name).read_bytes()
        assert manifest["files"][name] == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert bundle_digest(folder) == bundle_digest(saved)
    (folder / "manifest.json").write_text(json.dumps(manifest | {"more": 1}))
    assert bundle_digest(folder) != bundle_digest(saved)


def change_last_byte(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("name", ["bundle.json", "weights.safetensors"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change_last_byte, r"{name} was changed after it was saved \(its SHA-256 differs\): fetch it again"),
        (truncate, r"{name} has \d+ bytes where \d+ were saved: fetch it again"),
        (Path.unlink, r"{name} cannot be read \(FileNotFoundError\)"),
    ],
)
def test_a_changed_or_missing_file_is_named(
    folder: Path, name: str, damage: Callable[[Path], None], message: str
) -> None:
    damage(folder / name)
    with pytest.raises(DataError, match=message.format(name=name.replace(".", r"\."))):
        load_bundle(folder)


def test_a_missing_or_broken_manifest_is_reported(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json is not JSON"):
        load_bundle(folder)
    (folder / "manifest.json").write_text('{"format": 2, "files": {"bundle.json": 3}}')
    with pytest.raises(DataError, match=r"manifest\.json has no digest of bundle\.json"):
        load_bundle(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"manifest\.json is missing, so its files cannot be verified"):
        load_bundle(folder)
    with pytest.raises(DataError, match="there is no such folder"):
        load_bundle(folder / "elsewhere")


def rewrite(folder: Path, change: Callable[[dict[str, object]], object], with_manifest: bool = True) -> None:
    """Change the description and let the manifest match, or delete the manifest."""
    tree = json.loads((folder / "bundle.json").read_text())
    data = json.dumps(change(tree) or tree).encode()
    (folder / "bundle.json").write_bytes(data)
    if with_manifest:
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"]["bundle.json"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    else:
        (folder / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("slots"), r"does not describe a model of this version .*KeyError: 'slots'"),
        (lambda t: t["slots"].update(count="ten"), r"does not describe a model of this version"),
        (lambda t: t["config"].update(novel=1), r"does not describe .*novel.*; use the version that wrote it"),
        (lambda t: t["config"]["model"].update(name="vnet"), r"does not describe .*vnet"),
        (lambda t: t.update(mean_shape=None), r"does not describe .*TypeError"),
        (lambda t: t.update(uncertainty={"source": "x"}), r"does not describe .*ValidationError"),
        (
            lambda t: t["config"]["clinical"].update(grade0_mm=1.0),
            r"rules in bundle\.json are not those that its digest",
        ),
        (lambda t: t["slots"].update(count=5), r"weights\.safetensors does not fit unet \(size mismatch for"),
        (lambda t: [1], r"bundle\.json holds list, names and values needed"),
    ],
)
def test_an_invalid_description_is_reported_without_a_traceback(
    folder: Path, change: Callable[[dict[str, object]], object], message: str
) -> None:
    def changed(tree: dict[str, object]) -> object:
        result = change(tree)
        return result if isinstance(result, list) else None

    rewrite(folder, changed)
    with pytest.raises(DataError, match=f"(?s){message}"):
        load_bundle(folder)


def test_another_format_is_refused_in_manifest_and_description(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    manifest = (other / "manifest.json").read_text()
    for written, shown in (("99", "99"), ("1", "1"), ("true", "True"), ('"2"', "'2'")):
        (other / "manifest.json").write_text(manifest.replace('"format": 2', f'"format": {written}'))
        with pytest.raises(DataError, match=rf"manifest\.json says model format {shown}, this version reads 2"):
            load_bundle(other)
    rewrite(folder, lambda tree: tree.update(format=1))
    with pytest.raises(DataError, match=r"bundle\.json says model format 1, this version reads 2"):
        load_bundle(folder)


def test_format_1_without_a_manifest_is_converted_but_never_loaded(
    bundle: Bundle, folder: Path, tmp_path: Path
) -> None:
    rewrite(folder, lambda tree: tree.update(format=1), with_manifest=False)
    for load in (load_bundle, lambda path: read_network(path) or load_bundle(path)):
        with pytest.raises(
            DataError,
            match=r"model of format 1, without manifest\.json: its files cannot be verified\..* convert-model",
        ):
            load(folder)
    for use in (bundle_digest, lambda path: find_model(str(path))):
        with pytest.raises(DataError, match=r"is a model of format 1, .* convert-model --model"):
            use(folder)
    result = convert_model(ConvertModelConfig(model=str(folder), to=tmp_path / "new"))
    assert result.digest == bundle_digest(tmp_path / "new")
    assert f"--digest {result.digest}" in conversion_summary(result)
    loaded = load_bundle(tmp_path / "new", result.digest)
    assert (loaded.config, loaded.uncertainty) == (bundle.config, bundle.uncertainty)
    for name, value in loaded.model.state_dict().items():
        assert torch.equal(value, bundle.model.state_dict()[name]), name


def test_only_format_1_is_converted_and_only_to_an_empty_folder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"only models of format 1, which have no manifest\.json, are converted"):
        convert_bundle(folder, tmp_path / "new")
    (folder / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"says format 2, whose manifest\.json belongs to it: fetch the model again"):
        convert_bundle(folder, tmp_path / "new")
    with pytest.raises(DataError, match="is not empty: give a new or empty folder"):
        convert_model(ConvertModelConfig(model=str(folder), to=folder))
    description = json.loads((folder / "bundle.json").read_text()) | {"format": 1}
    (folder / "bundle.json").write_text(json.dumps(description))
    (folder / "weights.safetensors").unlink()
    with pytest.raises(DataError, match=r"weights\.safetensors cannot be read"):
        convert_bundle(folder, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_files_rewritten_with_their_manifest_are_detected_by_the_digest_only(folder: Path, saved: Path) -> None:
    digest = bundle_digest(saved)
    assert load_bundle(folder, digest).config.model.name == "unet"
    rewrite(folder, lambda tree: tree.update(more="than was saved"))
    assert load_bundle(folder).config.model.name == "unet", "nothing in the folder itself reveals it"
    with pytest.raises(DataError, match=f"is not the requested model: .*, {digest[:12]}.* is expected"):
        load_bundle(folder, digest)


def test_a_digest_may_have_spaces_and_capitals_but_must_be_a_sha_256() -> None:
    options = {"films": "x", "to": "y", "digest": f" {'AB' * 32}\n"}
    assert validate(PredictConfig, options).digest == "ab" * 32
    with pytest.raises(ConfigError, match=r"digest: given 'abc'\. a SHA-256 has 64 digits .*manifest\.json"):
        validate(PredictConfig, options | {"digest": "abc"})
