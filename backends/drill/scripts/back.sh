# Whether a process runs; if not, somebody is still to start it. Argument: Q_PROCESS.
[ -n "$pids" ] || fail 75 "no $Q_PROCESS runs on this machine"
