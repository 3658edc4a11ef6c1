"""From the files of every source format to a store; imports no JAX."""
