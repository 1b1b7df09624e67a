"""What the clients have in common: no network."""

import os

# Before transformers is imported, which asks its hub otherwise.
os.environ["HF_HUB_OFFLINE"] = "1"
