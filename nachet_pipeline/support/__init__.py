"""What every floor uses: bounded work, batches, shards, lazy imports, files, English and French."""
