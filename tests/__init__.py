"""Tests: units beside their folders, journeys end to end, faults one per row of the matrix."""
