"""The network alone, on the very inputs that a draft gives it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rtqc.core.volumes import Image
from rtqc.heart import Engine, draft_with


def network_alone(image: Image, engine: Engine) -> tuple[Callable[[], object], int]:
    """A function that runs ONNX Runtime with all cores on what a draft of the image gives it, and the number of those inputs."""
    import onnxruntime as ort

    inputs: list[np.ndarray] = []
    run = Engine.run

    def listening(self: Engine, channels: np.ndarray) -> np.ndarray:
        inputs.append(channels[None].copy())
        return run(self, channels)

    Engine.run = listening  # type: ignore[method-assign]
    draft_with(image, engine)
    Engine.run = run  # type: ignore[method-assign]
    session = ort.InferenceSession(str(engine.model.weights), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: [session.run(None, {name: x}) for x in inputs], len(inputs)
