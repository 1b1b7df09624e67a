"""Conversion of other libraries' schedules to ours, and of ours to and from plain data."""
