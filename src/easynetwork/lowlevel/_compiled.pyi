source_digest: str
