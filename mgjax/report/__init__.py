"""What is shown of results: accuracies that know their interval, tables, pictures.

`report.accuracy` and `report.tables` import neither JAX nor matplotlib.
"""
