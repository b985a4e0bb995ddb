"""Files in and out: the only room that knows pydicom.

``read_case`` and ``read_cases`` turn a folder of any shape into :class:`rtqc.core.Case`; ``write_rtstruct`` turns a
structure back into a file that planning systems import.
"""
