"""The files under reports/: runs, recordings and benches."""
