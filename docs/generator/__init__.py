"""Generators of the site's pages that are not written by hand."""
