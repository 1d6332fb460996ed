"""What every floor uses: bounded work, batches, shards, lazy imports, files, progress, English and French."""
