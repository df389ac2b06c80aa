"""Looking at datasets: descriptions, statistics, pages, diagnosis."""
