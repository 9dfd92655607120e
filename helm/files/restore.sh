# shellcheck shell=sh
# A Job that is made from the CronJob freepool-restore runs this. It replaces the database by the dump $BACKUP (default: the
# newest that the backup has written), in one transaction. If anything fails, nothing has changed.
set -eu
fail() { echo "restore: $1" >&2; exit 1; }
url=$(sed 's/^postgresql+[a-z0-9_]*:/postgresql:/' /srv/secrets/ledger-url)
folder=/backup
dumps() { find "$folder" -maxdepth 1 -type f "$@" | sort; }
# The name of another file, such as freepool-before-upgrade.dump, does not say when it was made.
name=${BACKUP:-$(dumps -name 'freepool-[0-9]*T[0-9]*Z.dump' ! -name 'freepool-*[!0-9TZ]*.dump' | tail -n 1)}
file=$folder/${name##*/}
all=$(dumps -name '*.dump' | sed 's|.*/||' | tr '\n' ' ')
[ -n "$name" ] || [ -z "$all" ] || fail "no dump in the claim has a time in its name: choose one with BACKUP. It has: $all"
[ -n "$name" ] || fail "there is no dump in the claim: create one from cronjob/freepool-backup, or name another claim"
{ [ -f "$file" ] && [ -s "$file" ]; } || fail "${name##*/} is not in the claim, or is empty. It has: $all"
# NetworkPolicies let a new pod out some seconds after its start, and the database may be starting, too.
patience=${PATIENCE:-60}
until pg_isready --quiet --dbname="$url" --timeout=5; do
  patience=$((patience - 1))
  [ "$patience" -gt 0 ] || fail "the database does not answer"
  sleep 1
done
users=$(psql --no-psqlrc -qAt "$url" -c "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
  AND usename = current_user AND backend_type = 'client backend' AND pid <> pg_backend_pid()")
[ "$users" = 0 ] || fail "$users connections use the database: scale hub, desk and steward to 0 first, and wait until their pods are gone"
pg_restore --file=/dev/null "$file" || fail "${file##*/} is damaged: choose another one with BACKUP"
# COMMIT comes last, and only after pg_restore has succeeded. psql's own --single-transaction would commit what it has got
# when pg_restore is killed, because the end of its input looks the same.
committed=$({
  cat <<'SQL'
BEGIN;
DO $$ DECLARE one record; BEGIN
  FOR one IN SELECT nspname FROM pg_namespace WHERE nspname NOT IN ('public', 'information_schema')
      AND nspname NOT LIKE 'pg\_%' AND pg_get_userbyid(nspowner) = current_user LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', one.nspname);
  END LOOP;
  FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
    EXECUTE format('DROP TABLE public.%I CASCADE', one.tablename);
  END LOOP;
  FOR one IN SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e' LOOP
    EXECUTE format('DROP TYPE public.%I CASCADE', one.typname);
  END LOOP;
END $$;
SQL
  pg_restore --no-owner --no-privileges --file=- "$file" && printf 'COMMIT;\n\\echo committed\n'
} | psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --output=/dev/null "$url")
[ "$committed" = committed ] || fail "${file##*/} could not be read to its end: nothing has changed"
psql --no-psqlrc --quiet "$url" -c ANALYZE
echo "${file##*/} is restored. Scale hub, desk and steward up again."
