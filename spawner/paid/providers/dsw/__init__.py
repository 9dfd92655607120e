"""Alibaba Cloud PAI-DSW."""
