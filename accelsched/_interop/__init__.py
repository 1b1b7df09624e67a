"""How do the schedules of others come in, and ours go out as plain data?"""
