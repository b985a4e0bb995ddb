"""A model's hash covers all of its weights, or the model is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtqc.heart import ModelError, load_model
from rtqc.heart.external_data import NotOnnxError, keeps_weights_elsewhere
from rtqc.heart.manifest import MANIFEST_FILE, WEIGHTS_FILE, file_hash, list_models, refuse_external_data

onnx = pytest.importorskip("onnx")


def graph(where: str) -> onnx.ModelProto:
    """A model with a tensor in one of the places that hold some."""
    from onnx import TensorProto, helper, numpy_helper

    tensor = numpy_helper.from_array(np.zeros((64, 64), np.float32), "w")
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [64, 64])
    if where == "initializer":
        inner = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [value], [tensor])
    elif where == "constant":
        inner = helper.make_graph([helper.make_node("Constant", [], ["y"], value=tensor)], "g", [], [value])
    else:
        branch = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "b", [], [value], [tensor])
        condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
        inner = helper.make_graph(
            [helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)], "g", [condition], [value]
        )
    return helper.make_model(inner)


@pytest.mark.parametrize("where", ["initializer", "constant", "branch"])
def test_weights_in_another_file_are_found_wherever_they_are(tmp_path: Path, where: str) -> None:
    one, split = tmp_path / "one.onnx", tmp_path / "split.onnx"
    onnx.save_model(graph(where), str(one))
    assert not keeps_weights_elsewhere(one)
    model = graph(where)
    from onnx.external_data_helper import _get_all_tensors, set_external_data

    for tensor in _get_all_tensors(model):
        set_external_data(tensor, "weights.bin")
    split.write_bytes(model.SerializeToString())
    assert keeps_weights_elsewhere(split)
    with pytest.raises(ModelError, match="its hash does not cover"):
        refuse_external_data(split)


def test_a_folder_whose_weights_lie_in_another_file_is_no_model(tmp_path: Path) -> None:
    shipped = load_model("heart-v1")
    weights = tmp_path / WEIGHTS_FILE
    onnx.save_model(
        onnx.load(str(shipped.weights)), str(weights), save_as_external_data=True, all_tensors_to_one_file=True, location="weights.bin", size_threshold=0
    )  # fmt: skip
    told = (shipped.folder / MANIFEST_FILE).read_text("utf-8").replace(shipped.manifest.sha256, file_hash(weights))
    (tmp_path / MANIFEST_FILE).write_text(told, "utf-8")
    with pytest.raises(ModelError, match="keeps weights in other files"):
        load_model(tmp_path)


def test_shipped_models_are_whole() -> None:
    for name in list_models():
        assert not keeps_weights_elsewhere(load_model(name).weights)


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 100, b"\x3a\xff\xff\xff\xff\x7f", b"\x3a\x05\x2a\x7f", b"\x00" * 50])
def test_what_is_no_model_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(NotOnnxError):
        keeps_weights_elsewhere(path)
    with pytest.raises(ModelError, match="is no ONNX model"):
        refuse_external_data(path)
