# Packets on their way out are late or lost; ssh is not. Ends by itself after Q_SECONDS.
# Arguments: Q_KEY, Q_SECONDS, Q_OWN (an address of ours), Q_NETEM, Q_TOWARDS (addresses), Q_SSH
# (ports).
has tc || fail 65 "there is no tc on this machine"
dev=$(ip -oneline -4 address show | awk -v own="$Q_OWN" \
    '{ split($4, part, "/"); if (part[1] == own) { print $2; exit } }')
dev=${dev%%@*}
[ -n "$dev" ] || fail 65 "no interface has the address $Q_OWN"
if tc qdisc show dev "$dev" root | grep --quiet 'qdisc prio 7a1:'; then
    fail 75 "packets of $dev are late already, by another fault"
fi
guard=/run/quorate-drill-$Q_KEY.pid
mend="tc qdisc del dev $dev root handle 7a1:"
# Four bands: what is not named by a filter stays in the first three, as without us.
tc qdisc add dev "$dev" root handle 7a1: prio bands 4 2>/dev/null \
    || fail 65 "this kernel has no sch_prio"
# shellcheck disable=SC2086 # words of tc
if ! tc qdisc add dev "$dev" parent 7a1:4 handle 7a2: netem $Q_NETEM 2>/dev/null; then
    $mend
    fail 65 "this kernel has no netem: no packet can be made late or lost"
fi
if [ -z "${Q_INSIDE:-}" ] && systemd && has systemd-run; then
    systemd-run --quiet --collect --unit="quorate-drill-$Q_KEY" --on-active="$Q_SECONDS" \
        /bin/sh -c "$mend" >/dev/null
else
    setsid sh -c "echo \$\$ >$guard; sleep $Q_SECONDS; rm -f $guard; $mend" \
        </dev/null >/dev/null 2>&1 9>&- &
fi
for port in $Q_SSH; do
    tc filter add dev "$dev" parent 7a1: protocol ip prio 1 u32 match ip protocol 6 0xff \
        match ip sport "$port" 0xffff flowid 7a1:1
done
for address in ${Q_TOWARDS:-0.0.0.0/0}; do
    tc filter add dev "$dev" parent 7a1: protocol ip prio 2 u32 match ip dst "$address" flowid 7a1:4
done
