"""Starts engines and their clients, and asks the clients to measure."""
