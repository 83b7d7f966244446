"""Imported first by every test: finds the package in this checkout, whether or not one is installed."""

import pathlib
import sys

SDK = pathlib.Path(__file__).resolve().parent.parent

sys.path.insert(0, str(SDK))
