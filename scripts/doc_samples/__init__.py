"""Runs the code samples of a Markdown document against a server and compares what they print."""
