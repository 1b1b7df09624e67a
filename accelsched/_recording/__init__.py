"""The operations of a formula: a recorder, and double-float arithmetic."""

from accelsched._recording.recorder import Recording, Untraceable, call, origin_of, record

__all__ = ["Recording", "Untraceable", "call", "origin_of", "record"]
