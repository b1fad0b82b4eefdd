# Lets a process stand still; it goes on by itself after Q_SECONDS. Arguments: Q_PROCESS, Q_KEY,
# Q_SECONDS.
[ -n "$pids" ] || fail 65 "no $Q_PROCESS runs on this machine"
guard=/run/quorate-drill-$Q_KEY.pid
if [ -z "${Q_INSIDE:-}" ] && systemd && has systemd-run; then
    systemd-run --quiet --collect --unit="quorate-drill-$Q_KEY" --on-active="$Q_SECONDS" \
        /bin/sh -c "kill -CONT $pids" >/dev/null
else
    setsid sh -c "echo \$\$ >$guard; sleep $Q_SECONDS; rm -f $guard; kill -CONT $pids" \
        </dev/null >/dev/null 2>&1 9>&- &
fi
# shellcheck disable=SC2086 # a list of numbers
kill -STOP $pids
