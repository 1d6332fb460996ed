"""Crops: the seeds in stored pictures, found by a detector and cut out as pictures of their own."""
