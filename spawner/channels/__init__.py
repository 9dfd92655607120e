"""Messages to people's own channels: keys, texts, and what sends them by mail and webhook."""
