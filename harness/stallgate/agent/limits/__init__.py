"""Runs a process of an answer within limits: time, memory, processes, files, network, environment."""
