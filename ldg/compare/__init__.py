"""Runs side by side: what differs between them, their numbers, curves and pictures, on one page."""
