"""Radiotherapy objects that rtqc does not judge: each is named where it lies beside a plan, so that nobody takes silence for a check."""

from __future__ import annotations

#: SOP Class UID -> name in PS3.4 (annex B.5), of radiotherapy objects that bear on a plan or its dose.
NOT_JUDGED: dict[str, str] = {
    "1.2.840.10008.5.1.4.1.1.481.4": "RT Beams Treatment Record",
    "1.2.840.10008.5.1.4.1.1.481.6": "RT Brachy Treatment Record",
    "1.2.840.10008.5.1.4.1.1.481.7": "RT Treatment Summary Record",
    "1.2.840.10008.5.1.4.1.1.481.9": "RT Ion Beams Treatment Record",
    "1.2.840.10008.5.1.4.1.1.481.10": "RT Physician Intent",
    "1.2.840.10008.5.1.4.1.1.481.11": "RT Segment Annotation",
    "1.2.840.10008.5.1.4.1.1.481.12": "RT Radiation Set",
    "1.2.840.10008.5.1.4.1.1.481.13": "C-Arm Photon-Electron Radiation",
    "1.2.840.10008.5.1.4.1.1.481.14": "Tomotherapeutic Radiation",
    "1.2.840.10008.5.1.4.1.1.481.15": "Robotic-Arm Radiation",
    "1.2.840.10008.5.1.4.1.1.481.16": "RT Radiation Record Set",
    "1.2.840.10008.5.1.4.1.1.481.17": "RT Radiation Salvage Record",
    "1.2.840.10008.5.1.4.1.1.481.18": "Tomotherapeutic Radiation Record",
    "1.2.840.10008.5.1.4.1.1.481.19": "C-Arm Photon-Electron Radiation Record",
    "1.2.840.10008.5.1.4.1.1.481.20": "Robotic Radiation Record",
    "1.2.840.10008.5.1.4.1.1.481.21": "RT Radiation Set Delivery Instruction",
    "1.2.840.10008.5.1.4.1.1.481.22": "RT Treatment Preparation",
    "1.2.840.10008.5.1.4.34.7": "RT Beams Delivery Instruction",
    "1.2.840.10008.5.1.4.34.10": "RT Brachy Application Setup Delivery Instruction",
}
