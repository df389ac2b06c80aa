"""Page of plots, and tables and chart of the documents: python -m benches.report FILE.json..."""
