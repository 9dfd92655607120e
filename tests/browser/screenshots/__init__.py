"""Screenshots of every page, in English and Chinese, light and dark, 1280 and 360 px wide: docs/develop.md."""
