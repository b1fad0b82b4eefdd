# Takes a wall away, and its guard. Arguments: Q_KEY.
table=quorate_drill_$Q_KEY
guard=/run/quorate-drill-$Q_KEY.pid
if has nft && nft list table inet "$table" >/dev/null 2>&1; then
    nft delete table inet "$table"
fi
if [ -z "${Q_INSIDE:-}" ] && systemd; then
    systemctl stop "quorate-drill-$Q_KEY.timer" 2>/dev/null || true
fi
if [ -e "$guard" ]; then
    read -r pid <"$guard" || pid=
    # It leads a session of its own: what it waits for ends with it.
    [ -z "$pid" ] || kill -- "-$pid" 2>/dev/null || true
    rm -f "$guard"
fi
