"""The draft: a model draws the heart on any CT and says how sure it is."""

from rtqc.defaults import DEFAULT_MODEL
from rtqc.heart.draft import DRAFT_NAME, Draft, draft_heart, draft_with
from rtqc.heart.engine import Device, DeviceError, Engine
from rtqc.heart.landmarks import Landmarks
from rtqc.heart.manifest import Manifest, Model, ModelError, list_models, load_model, model_card

__all__ = [
    "DEFAULT_MODEL",
    "DRAFT_NAME",
    "Device",
    "DeviceError",
    "Draft",
    "Engine",
    "Landmarks",
    "Manifest",
    "Model",
    "ModelError",
    "draft_heart",
    "draft_with",
    "list_models",
    "load_model",
    "model_card",
]
