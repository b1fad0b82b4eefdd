# Says what drills have left on this machine: nothing, if all is undone.
if has nft; then
    nft list tables inet 2>/dev/null | grep quorate_drill || true
fi
if has tc; then
    tc qdisc show 2>/dev/null | grep 'qdisc prio 7a1:' || true
fi
