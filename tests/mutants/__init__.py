"""Mutation testing: wrong changes are made one at a time, and the tests of the same room must notice each (docs/tests.md)."""
