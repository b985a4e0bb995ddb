"""Contours, masks and surfaces, and the way from each to the others.

Pure geometry in mm: nothing here knows what a heart, a dose or a file is.
"""
