"""A setting for all client tests: no network."""

import os

# Set this before transformers is imported, or it contacts its hub.
os.environ["HF_HUB_OFFLINE"] = "1"
