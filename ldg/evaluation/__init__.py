"""Measures of a trained model on the test split of its data, and the scorecard that collects them.

A measure is one file here and one file in ``configs/measure``. Its class declares the values it returns, see
:class:`~ldg.evaluation.measure.Quantity`; tables, pictures, reports and dashboards follow from that.
"""
