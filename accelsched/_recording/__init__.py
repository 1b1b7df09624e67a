"""Which operations does a formula do? The recorder, and float64 done again without float64."""

from accelsched._recording.recorder import Recording, Untraceable, record

__all__ = ["Recording", "Untraceable", "record"]
