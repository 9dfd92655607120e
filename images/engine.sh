# shellcheck shell=bash
# What builds and runs images: Docker where it runs, else buildah (as root, in a chroot). Sourced, never run.
REGISTRY=${REGISTRY:-freepool}
TAG=${TAG:-$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/pyproject.toml")}
note() { echo "images: $*" >&2; }
fail() { note "$*"; exit 1; }

CANNOT=77 # the exit code where there is nothing to build with

# As root on Debian, what is missing is installed.
engine() {
  if docker info >/dev/null 2>&1; then echo docker && return; fi
  if ! command -v buildah >/dev/null && [[ $EUID == 0 ]] && command -v apt-get >/dev/null; then
    note "installing buildah (once)"
    { apt-get update && apt-get install -y --no-install-recommends buildah debootstrap; } >/dev/null 2>&1 || true
  fi
  if command -v buildah >/dev/null; then echo buildah && return; fi
  note "images cannot be built here: neither Docker nor buildah is there. On Debian: sudo apt-get install buildah"
  exit "$CANNOT"
}
