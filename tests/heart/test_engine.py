"""The runtime: devices that are there or not, threads, and models that do something else than they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtqc.cli import console
from rtqc.comparison import compare
from rtqc.core import Case
from rtqc.heart import DeviceError, Engine, Manifest, ModelError, draft_heart, draft_with, load_model
from rtqc.heart.engine import DEVICES, MemoryShortageError
from rtqc.phantom import SyntheticPlan
from rtqc.pipeline import draft_summary


def test_the_command_line_offers_the_engines_devices() -> None:
    assert console.DEVICES == DEVICES


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "directml", "coreml"])
def test_a_device_that_is_not_there_is_an_error_and_never_a_quiet_fall_back(device: str) -> None:
    import onnxruntime as ort

    names = {"cuda": "CUDA", "tensorrt": "Tensorrt", "directml": "Dml", "coreml": "CoreML"}
    offered = f"{names[device]}ExecutionProvider" in ort.get_available_providers()
    if offered and (device not in ("cuda", "tensorrt") or Path("/dev/nvidiactl").exists()):
        pytest.skip(f"this machine has {device}")
    with pytest.raises(DeviceError, match=f"--device {device} was asked for"):
        Engine(load_model(), device)  # type: ignore[arg-type]


def test_auto_says_what_it_took() -> None:
    assert Engine(load_model(), "auto").device in ("cpu", "cuda", "directml", "coreml")


def test_threads_change_the_speed_only(clean_case: Case) -> None:
    assert clean_case.image is not None
    one, all_ = (draft_heart(clean_case.image, device="cpu", threads=n) for n in (1, 0))
    assert one.structure.volume_ml == pytest.approx(all_.structure.volume_ml, rel=1e-4)


def test_short_memory_makes_the_first_look_smaller_and_is_said(clean_case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    assert clean_case.image is not None
    run = Engine.run
    limit = 90**3 * len(load_model().manifest.windows)

    def short(self: Engine, channels: np.ndarray) -> np.ndarray:
        if channels.size > limit:
            raise MemoryShortageError("Failed to allocate memory")
        return run(self, channels)

    whole = draft_heart(clean_case.image, device="cpu")
    monkeypatch.setattr(Engine, "run", short)
    draft = draft_heart(clean_case.image, device="cpu")
    assert "its memory is short" in draft.device
    assert draft.structure.volume_ml == pytest.approx(whole.structure.volume_ml, rel=0.05)
    limit = 10
    with pytest.raises(DeviceError, match="not enough memory"):
        draft_heart(clean_case.image, device="cpu")


def test_a_model_with_levels_tells_where_the_chests_levels_are(clean_case: Case, clean_plan: SyntheticPlan) -> None:
    assert clean_case.image is not None
    draft = draft_heart(clean_case.image, "heart-v2", device="cpu")
    assert compare(clean_plan.structures["Heart"], draft.structure).dice > 0.85
    assert draft.ends is not None
    assert draft.ends.upper is not None
    assert draft.ends.lower is not None
    highest, lowest = draft.structure.positions_mm[[-1, 0]]
    thick = draft.structure.usual_spacing_mm
    assert abs(draft.ends.upper.z_mm - highest) <= 2 + thick
    assert abs(draft.ends.lower.z_mm - lowest) <= 2 + thick
    summary = draft_summary(draft)
    assert summary is not None
    assert summary.upper_end is not None
    assert summary.upper_end.z_mm == pytest.approx(draft.ends.upper.z_mm, abs=0.05)
    assert summary.upper_end_definition in ("feng2011", "model")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"level_channels": {"carina": 0}}, "different channels"),
        ({"level_channels": {"carina": 1}, "output": "classes"}, "level_channels need"),
        ({"level_channels": {"larynx": 1}}, "level_channels"),
    ],
)
def test_levels_that_no_network_can_tell_are_refused_in_a_manifest(change: dict[str, object], why: str) -> None:
    values = load_model().manifest.model_dump() | change
    with pytest.raises(ValueError, match=why):
        Manifest.model_validate(values)


def test_a_levels_channel_that_the_network_does_not_have_is_refused() -> None:
    model = load_model("heart-v1")
    manifest = model.manifest.model_copy(update={"level_channels": {"carina": 1}})
    with pytest.raises(ModelError, match="channels that the manifest names"):
        Engine(model.model_copy(update={"manifest": manifest}), "cpu").outputs(np.zeros((16, 16, 16), np.float32))


def test_an_output_that_the_manifest_does_not_describe_is_refused() -> None:
    model = load_model("heart-v1")
    broken = model.model_copy(update={"manifest": model.manifest.model_copy(update={"channels": (3,), "output": "classes"})})
    with pytest.raises(ModelError, match="with the channels that the manifest names"):
        Engine(broken, "cpu").logits(np.zeros((32, 32, 32), np.float32))


def test_what_one_case_needs_is_not_said_of_the_next(clean_case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    assert clean_case.image is not None
    engine = Engine(load_model(), "cpu")
    run = Engine.run
    limit = 90**3 * len(load_model().manifest.windows)

    def short(self: Engine, channels: np.ndarray) -> np.ndarray:
        if channels.size > limit:
            raise MemoryShortageError("Failed to allocate memory")
        return run(self, channels)

    with monkeypatch.context() as patched:
        patched.setattr(Engine, "run", short)
        assert "its memory is short" in draft_with(clean_case.image, engine).device
    assert engine.device == "cpu"
    assert draft_with(clean_case.image, engine).device == "cpu"
