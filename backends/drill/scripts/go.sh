# Lets a process go on, and ends its guard. Arguments: Q_PROCESS, Q_KEY.
guard=/run/quorate-drill-$Q_KEY.pid
# shellcheck disable=SC2086 # a list of numbers; one may have died meanwhile
[ -z "$pids" ] || kill -CONT $pids 2>/dev/null || true
if [ -z "${Q_INSIDE:-}" ] && systemd; then
    systemctl stop "quorate-drill-$Q_KEY.timer" 2>/dev/null || true
fi
if [ -e "$guard" ]; then
    read -r pid <"$guard" || pid=
    [ -z "$pid" ] || kill -- "-$pid" 2>/dev/null || true
    rm -f "$guard"
fi
