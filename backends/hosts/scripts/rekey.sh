# A peer of a node that gets another mesh key. Q_OWNER; Q_DO: what; Q_OLD, Q_NEW: its public keys;
# Q_ENDPOINT: where it is dialled, or -; Q_ALLOWED: addresses behind it.
# Nothing of this is stored: the list of links that follows has the key that it came to.

prepared
lock
knows() {
    wg show "$interface" peers | grep -qxF "$1"
}

case $Q_DO in
announce)
    knows "$Q_OLD" || fail 1 "this machine has no tunnel to the node"
    endpoint=
    [ "$Q_ENDPOINT" = - ] || endpoint="endpoint $Q_ENDPOINT"
    wg set "$interface" peer "$Q_NEW" $endpoint persistent-keepalive 5
    ;;
move)
    knows "$Q_NEW" || fail 1 "the new key is not known here any more"
    # One and the same address cannot be behind two: it goes from the old one.
    wg set "$interface" peer "$Q_NEW" allowed-ips "$Q_ALLOWED"
    ;;
check)
    # Nobody ever shook hands with the new key before the switch.
    at=$(wg show "$interface" latest-handshakes | awk -v key="$Q_NEW" '$1 == key { print $2 }')
    if [ "${at:-0}" != 0 ]; then
        echo "shaken"
    else
        # Off and on again: a keepalive goes out at once, and with it a handshake.
        wg set "$interface" peer "$Q_NEW" persistent-keepalive off
        wg set "$interface" peer "$Q_NEW" persistent-keepalive 5
    fi
    ;;
back)
    if knows "$Q_NEW"; then
        wg set "$interface" peer "$Q_NEW" remove
    fi
    if knows "$Q_OLD"; then
        wg set "$interface" peer "$Q_OLD" allowed-ips "$Q_ALLOWED"
    fi
    ;;
drop)
    if knows "$Q_OLD"; then
        wg set "$interface" peer "$Q_OLD" remove
    fi
    ;;
*) fail 65 "not a step of a rotation: $Q_DO" ;;
esac
