"""Measuring on many GPUs and hosts, by an engine that exists: Dask distributed. Needs the extra ``fleet``."""
