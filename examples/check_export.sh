#!/bin/sh
# Run after an export: check_export.sh EXPORT_FOLDER [REPORT_FOLDER]
# Ends with 0 (plan may go on), 1 (somebody must look) or 2 (could not be assessed); prints one line and where the report is.
set -u
export_folder=${1:?usage: check_export.sh EXPORT_FOLDER [REPORT_FOLDER]}
reports=${2:-$export_folder-rtqc}
rtqc=${RTQC:-rtqc}

result=$(mktemp) || exit 2
trap 'rm -f "$result"' EXIT
"$rtqc" check "$export_folder" --json --out "$reports" --force >"$result"
status=$?

case $status in
  0) echo "PASSED: $reports" ;;
  1) echo "STOPPED, somebody must look: $reports" ;;
  *) echo "STOPPED, could not be assessed (status $status)" >&2 ;;
esac
exit $status
