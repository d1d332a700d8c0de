#!/usr/bin/env bash
# Links of the documentation lead somewhere, and the tests it names exist.
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
wrong() { printf '%s\n' "$*" >&2; status=1; }

for page in *.md docs/*.md docs/*/*.md; do
    while read -r link; do
        [ -e "$(dirname "$page")/${link%%#*}" ] || wrong "$page: $link is not there"
    done < <(grep -oP '\]\(\K(?!https?:|#)[^)]+' "$page" || true)
done

# In the table of invariants, and in that of PostgreSQL's protocol, every name in code that is no path is
# a test.
while read -r name; do
    git grep -q "fn $name(" -- '*.rs' || wrong "docs/ARCHITECTURE.md, docs/postgres-checklist.md: there is no test $name"
done < <({ sed -n '/^## Invariants/,/^## Tests/p' docs/ARCHITECTURE.md; cat docs/postgres-checklist.md; } |
    grep -oP '`\K[a-z0-9]+(_[a-z0-9]+){3,}(?=`)' | sort -u)

exit $status
