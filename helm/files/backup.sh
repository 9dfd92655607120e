# shellcheck shell=sh
# The CronJob freepool-backup runs this. It writes a dump of the database into /backup and keeps the newest $KEEP dumps.
set -eu
umask 077
fail() { echo "backup: $1" >&2; exit 1; }
url=$(sed 's/^postgresql+[a-z0-9_]*:/postgresql:/' /srv/secrets/ledger-url)
folder=/backup
# NetworkPolicies let a new pod out some seconds after its start, and the database may be starting, too.
patience=${PATIENCE:-60}
until pg_isready --quiet --dbname="$url" --timeout=5; do
  patience=$((patience - 1))
  [ "$patience" -gt 0 ] || fail "the database does not answer"
  sleep 1
done
find "$folder" -maxdepth 1 -name '.new-*' -mtime +0 -delete # what a killed run left
new=$folder/.new-$(hostname)-$$
trap 'rm -f "$new"' EXIT
pg_dump --format=custom --no-owner --no-privileges --file="$new" "$url"
pg_restore --file=/dev/null "$new" # fails if the dump is not whole
# A new, empty database takes the place of one that was lost. Its dumps must not push out those that a restore needs.
pg_restore --list "$new" | grep -q ' TABLE .* freepool_version ' ||
  fail "the database has no ledger. Restore it if it was lost. No dump was written, and all others stay"
name=freepool-$(date -u +%Y%m%dT%H%M%SZ).dump
mv "$new" "$folder/$name"
echo "$name: $(wc -c <"$folder/$name") bytes"
# Other files are an operator's, such as freepool-before-upgrade.dump: they count as none of these, and stay.
find "$folder" -maxdepth 1 -type f -name 'freepool-[0-9]*T[0-9]*Z.dump' ! -name 'freepool-*[!0-9TZ]*.dump' | sort -r | tail -n "+$((KEEP + 1))" | while read -r old; do
  rm -f "$old"
  echo "${old##*/}: removed, the newest $KEEP stay"
done
