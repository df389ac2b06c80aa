"""Inspecting datasets: descriptions, statistics, contact sheets, measurements."""
