"""The command line: one file a command, no logic. Only this room prints and exits.

Exit status: 0 pass, 1 flagged, 2 could not assess or wrong usage. Heavy rooms are imported when a command runs.
"""
