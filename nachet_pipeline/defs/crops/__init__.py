"""Crops: the asset `picture_crops`, its check, job and sensor."""
