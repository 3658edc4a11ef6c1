"""What is shown of results: accuracies that know their interval, tables, pictures.

Nothing is imported here: no module of this room imports JAX, and those that draw (`skeletons`,
`animations`, `figures`, `embedding_map`) import matplotlib only when they do.
"""
