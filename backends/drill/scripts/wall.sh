# Builds a wall: packets are dropped, ssh passes. It falls by itself after Q_SECONDS, whatever
# becomes of whoever built it: the machine may have cut itself off from the one who would.
# Arguments: Q_KEY, Q_SECONDS, Q_RULES (of nft).
has nft || fail 65 "there is no nft on this machine"
table=quorate_drill_$Q_KEY
guard=/run/quorate-drill-$Q_KEY.pid
raze="nft delete table inet $table"
if [ -z "${Q_INSIDE:-}" ] && systemd && has systemd-run; then
    systemd-run --quiet --collect --unit="quorate-drill-$Q_KEY" --on-active="$Q_SECONDS" \
        /bin/sh -c "$raze" >/dev/null
else
    setsid sh -c "echo \$\$ >$guard; sleep $Q_SECONDS; rm -f $guard; $raze" \
        </dev/null >/dev/null 2>&1 9>&- &
fi
printf '%s\n' "$Q_RULES" | nft --file - || fail 65 "nft does not take the rules on this machine"
