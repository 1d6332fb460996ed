"""The client of Azure Blob storage: `blobs.BlobStorage`, put together of one module a purpose."""
