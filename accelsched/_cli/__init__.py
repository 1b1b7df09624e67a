"""The command ``accelsched``."""
