#!/bin/sh
# Runs a program that is broken on purpose and succeeds when TSan reports it.
report=$(TSAN_OPTIONS="halt_on_error=1" "$1" 2>&1)
case $report in
    *"ThreadSanitizer: data race"* | *"ThreadSanitizer: heap-use-after-free"*) exit 0 ;;
esac
echo "no data race was reported:"
echo "$report"
exit 1
