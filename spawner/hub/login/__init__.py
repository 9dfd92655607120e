"""How people log in: by a link, by GitHub, by Google, or by any OpenID Connect provider."""
