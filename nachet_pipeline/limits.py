"""What the settings say about limits, as the validation and its decoders take it."""

from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.yaml_reader import YamlLimits
from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.settings import ImportSettings

_KIB, _MIB = 1024, 1024**2


def contract_limits(settings: ImportSettings) -> ContractLimits:
    """How much a validation reads and holds."""
    return ContractLimits(
        yaml=YamlLimits(
            bytes=settings.max_yaml_kib * _KIB, depth=settings.max_yaml_depth, events=settings.max_yaml_events
        ),
        name_bytes=settings.max_name_bytes,
        checksums_bytes=settings.max_checksums_mib * _MIB,
        memory_bytes=settings.pictures_in_memory_mib * _MIB,
    )


def decoding_settings(settings: ImportSettings) -> DecodingSettings:
    """How pictures are decoded."""
    return DecodingSettings(
        workers=settings.decode_workers,
        seconds=settings.decode_seconds,
        memory_bytes=settings.decode_memory_mib * _MIB,
        pictures=settings.decode_pictures,
        limits=PictureLimits(
            file_bytes=settings.max_picture_mib * _MIB,
            pixels=settings.max_megapixels * 1_000_000,
            side=settings.max_side_pixels,
            jpeg_scans=settings.max_jpeg_scans,
            png_chunks=settings.max_png_chunks,
            tiff_directories=settings.max_tiff_directories,
            tiff_tags=settings.max_tiff_tags,
            tiff_strips=settings.max_tiff_strips,
            metadata_bytes=settings.max_metadata_mib * _MIB,
            overlap_bytes=settings.max_tiff_overlap_kib * _KIB,
            gap_bytes=settings.max_tiff_gap_kib * _KIB,
        ),
    )
