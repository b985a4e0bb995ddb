"""Files that mean us harm, and files that were damaged at random."""
