# Ends what late.sh began, and its guard. Arguments: Q_KEY, Q_OWN.
guard=/run/quorate-drill-$Q_KEY.pid
dev=$(ip -oneline -4 address show | awk -v own="$Q_OWN" \
    '{ split($4, part, "/"); if (part[1] == own) { print $2; exit } }')
dev=${dev%%@*}
if [ -n "$dev" ] && has tc && tc qdisc show dev "$dev" root | grep --quiet 'qdisc prio 7a1:'; then
    tc qdisc del dev "$dev" root handle 7a1:
fi
if [ -z "${Q_INSIDE:-}" ] && systemd; then
    systemctl stop "quorate-drill-$Q_KEY.timer" 2>/dev/null || true
fi
if [ -e "$guard" ]; then
    read -r pid <"$guard" || pid=
    [ -z "$pid" ] || kill -- "-$pid" 2>/dev/null || true
    rm -f "$guard"
fi
