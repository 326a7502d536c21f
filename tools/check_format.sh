#!/bin/sh
# Says which C++ files are not formatted as .clang-format asks; `make format` formats them.
#
#     tools/check_format.sh          changes nothing, exit status 1 when a file differs
#     tools/check_format.sh --fix    formats them
set -eu
cd "$(dirname "$0")/.."

case "${1:-}" in
  "") mode="--dry-run -Werror" ;;
  --fix) mode="-i" ;;
  *) echo "check_format: unknown option '$1'; expected --fix or nothing" >&2; exit 2 ;;
esac

folders=""
for folder in src apps reference tests; do
  [ ! -d "$folder" ] || folders="$folders $folder"
done
# shellcheck disable=SC2086  # lists of words
find $folders -name '*.h' -print0 -o -name '*.cc' -print0 | xargs -0 clang-format-14 $mode
