"""What a step will cost, and how long schedules are."""
