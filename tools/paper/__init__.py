"""The course as one PDF."""
