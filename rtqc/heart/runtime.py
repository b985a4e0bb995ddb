"""Which packages of ONNX Runtime are installed: two of them fill the same folder, and the one that came last is used.

Upstream knows it and has not changed it (microsoft/onnxruntime issues 10685 and 26996): ``onnxruntime`` on top of ``onnxruntime-gpu`` takes CUDA away without a word, and
uninstalling one of the two leaves a module without content.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

#: Every package that holds the module onnxruntime.
RUNTIMES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-openvino",
    "onnxruntime-rocm",
    "onnxruntime-silicon",
)
#: What makes one of them whole again.
REPAIR = "pip uninstall -y {all}; pip install --no-deps --force-reinstall {wanted}"


def installed_runtimes() -> tuple[str, ...]:
    """Names of the packages of ONNX Runtime that pip knows here."""
    return tuple(name for name in RUNTIMES if _is_installed(name))


def runtime_clash() -> str:
    """What is wrong where two packages fill the same folder, and what to do; empty where nothing is."""
    found = installed_runtimes()
    if len(found) < 2:
        return ""
    wanted = next(name for name in found if name != "onnxruntime")
    return (
        f"{' and '.join(found)} are installed together and overwrite each other's files, so that the GPU may not be used: "
        f"{REPAIR.format(all=' '.join(found), wanted=wanted)}"
    )


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
