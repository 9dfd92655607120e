"""The bytes of kept files: encrypted, each bundle with a key of its own, in a folder or a bucket."""
