#!/usr/bin/env bash
# The tests that search, in the size in which they stand for the promise, one after the other: same bytes with
# thousands of seeds that nobody has played yet, ten thousand cancels that race, ten minutes of crosstalk.
#
#   scripts/night.sh [mariadb|mysql|postgres|postgres18]
#
# TG_SEED (the clock, in ms), TG_SESSIONS (5000), TG_CANCELS (10000) and TG_SECONDS (600) are passed on to
# them; NIGHT_LIMIT (2h) is the longest that one may take. Ends with a table, and with 1 where one failed.
set -uo pipefail
cd "$(dirname "$0")/.."

export TG_SEED=${TG_SEED:-$(date +%s%3N)} TG_SESSIONS=${TG_SESSIONS:-5000}
export TG_CANCELS=${TG_CANCELS:-10000} TG_SECONDS=${TG_SECONDS:-600}
limit=${NIGHT_LIMIT:-2h}
logs=${CARGO_TARGET_DIR:-target}/night

# Servers, test file, test.
searches='
mariadb     same_bytes             generated_sessions_see_the_same_bytes
mysql       same_bytes             sessions_on_mysql_see_the_same_bytes
postgres    same_bytes_postgres    generated_sessions_see_the_same_bytes
postgres18  same_bytes_postgres    sessions_on_postgres_18_see_the_same_bytes
mariadb,mysql cancel_race          a_kill_hits_the_statement_it_was_meant_for_or_none
postgres    cancel_race_postgres   a_cancel_hits_the_statement_it_was_meant_for_or_none
mariadb     crosstalk              answers_are_never_anothers
postgres    crosstalk_postgres     answers_are_never_anothers
'

# What a test says of what it has done: its lines of figures.
found() { grep -E ' sessions, .* compared|were over before|^Shared ' "$1" | paste -sd ';' | cut -c 1-160; }

# verdict STATUS LOG
verdict() {
    if [ "$1" = 124 ]; then echo "took longer than $limit"
    elif [ "$1" != 0 ]; then echo FAILED
    # Also when a test has another name by now.
    elif ! grep -q '1 passed' "$2"; then echo 'FAILED: no such test'
    elif grep -q 'SKIPPED' "$2"; then echo 'skipped, or a part of it'
    else echo passed
    fi
}

running=
trap 'kill "${running:-}" 2>/dev/null; exit 130' INT TERM

mapfile -t chosen < <(awk -v server="${1:-}" 'NF && (server == "" || index("," $1 ",", "," server ","))' <<<"$searches")
[ ${#chosen[@]} -gt 0 ] || { echo "no server $1: mariadb, mysql, postgres or postgres18" >&2; exit 2; }
mkdir -p "$logs"
echo "TG_SEED=$TG_SEED TG_SESSIONS=$TG_SESSIONS TG_CANCELS=$TG_CANCELS TG_SECONDS=$TG_SECONDS"

failed=0 summary=
for search in "${chosen[@]}"; do
    read -r server file test <<<"$search"
    log=$logs/${server/,/-}-$file.log begun=$SECONDS
    echo "$server: $file, $test" >&2
    # The whole workspace, as it was built: with fewer packages features differ, and all would be built anew.
    timeout "$limit" cargo test --quiet --workspace --test "$file" -- \
        --exact "$test" --nocapture >"$log" 2>&1 &
    running=$!
    wait "$running"
    verdict=$(verdict $? "$log")
    case $verdict in passed | skipped*) ;; *) failed=1; tail -n 40 "$log" >&2 ;; esac
    summary+=$(printf '%-13s  %-20s  %-24s  %5d s  %s' \
        "$server" "$file" "$verdict" $((SECONDS - begun)) "$(found "$log")")$'\n'
done

printf '\n%s\nTG_SEED=%s; what each said is in %s\n' "$summary" "$TG_SEED" "$logs"
exit $failed
