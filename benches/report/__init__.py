"""One page of plots, and the README's table and chart, from what the measurements wrote: python -m benches.report FILE.json..."""
