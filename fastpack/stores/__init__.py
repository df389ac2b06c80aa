"""Object stores: S3, GCS, Azure, HTTP and others."""
