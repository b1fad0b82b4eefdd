# Kills a process, and all of its family. Argument: Q_PROCESS.
[ -n "$pids" ] || fail 65 "no $Q_PROCESS runs on this machine"
# shellcheck disable=SC2086 # a list of numbers; a child may go with its parent
kill -KILL $pids 2>/dev/null || true
