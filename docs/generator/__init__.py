"""What the site is built from, besides the pages that are written by hand."""
