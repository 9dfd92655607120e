"""Terms and privacy: the texts of an installation, their version, and who must accept them."""
