# Finds a process of ours on this machine: its numbers, in $pids. Argument: Q_PROCESS.
has pgrep || fail 65 "there is no pgrep on this machine"
case $Q_PROCESS in
haproxy) pids=$(pgrep -f '^[^ ]*haproxy .*/quorate/balancer[.]cfg' || true) ;;
*) pids=$(pgrep -x "$Q_PROCESS" || true) ;;
esac
pids=$(echo $pids)
