"""Looking at a dataset: samples as rows, as a page, as a picture, and counts of them."""
