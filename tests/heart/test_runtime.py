"""Two packages of ONNX Runtime in one folder are said, and what to do about them."""

from __future__ import annotations

import pytest

from rtqc.heart import engine, runtime
from tests.cli.run import rtqc


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(runtime, "_is_installed", lambda name: name in names)


def test_both_packages_are_said_where_a_gpu_is_asked_for_and_by_the_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "onnxruntime", "onnxruntime-gpu")
    sentence = engine._absent("cuda")
    assert "overwrite each other's files" in sentence
    assert "pip uninstall -y onnxruntime onnxruntime-gpu; pip install --no-deps --force-reinstall onnxruntime-gpu" in sentence
    outcome = rtqc("doctor", "--json")
    (check,) = [c for c in outcome.document["checks"] if c["name"] == "device"]
    assert check["state"] == "warning"
    assert check["do"].startswith("pip uninstall")


def test_the_package_for_cpus_alone_is_said_where_a_gpu_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "onnxruntime")
    assert "the one for CPUs" in engine._absent("cuda")
    assert runtime.runtime_clash() == ""


def test_one_package_is_no_clash(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "onnxruntime-gpu")
    assert runtime.runtime_clash() == ""
    assert "no usable NVIDIA GPU" in engine._absent("cuda")
