"""What a run leaves behind: numbers as JSON and CSV, raw records as Parquet, a page of plots."""
