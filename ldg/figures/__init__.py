"""Pictures of a model: a file each, and each names itself.

:func:`~ldg.figures.picture.list_pictures` finds those of the gallery by scanning this package. All figures are made
with :class:`matplotlib.figure.Figure`, never with pyplot, so that the backend of a notebook has no effect.
"""
