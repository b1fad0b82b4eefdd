# A node gets another mesh key. Q_OWNER; Q_DO: what; Q_NEW: the new public key, once there is one;
# Q_RETURN: the script that takes it back; Q_PATIENCE: seconds until it does.
# As long as key.new is there the new key is not confirmed, and a boot comes up with the old one.

prepared
lock
wg show "$interface" >/dev/null 2>&1 || fail 1 "$interface is not there"
now=$(wg show "$interface" public-key)
old=$(wg pubkey <"$mesh/key")
new=
[ ! -s "$mesh/key.new" ] || new=$(wg pubkey <"$mesh/key.new")

case $Q_DO in
make)
    [ "$now" = "$old" ] || fail 75 "another rotation is under way here"
    wg genkey | put "$mesh/key.new"
    echo "key $(wg pubkey <"$mesh/key.new")"
    ;;
switch)
    [ "$new" = "$Q_NEW" ] || fail 65 "the new key is not there any more"
    printf '%s\n' "$Q_RETURN" | put "$mesh/return.sh"
    # The dead man's switch goes first: it must outlive this session.
    if systemd; then
        systemd-run --quiet --on-active="$Q_PATIENCE" --timer-property=AccuracySec=1s \
            /bin/sh "$mesh/return.sh"
    else
        setsid sh -c 'sleep "$1"; exec sh "$2"' quorate-return "$Q_PATIENCE" "$mesh/return.sh" \
            </dev/null >/dev/null 2>&1 9>&- &
    fi
    wg set "$interface" private-key "$mesh/key.new"
    # Off and on again: a keepalive goes out at once, and with it a handshake.
    for peer in $(wg show "$interface" peers); do
        wg set "$interface" peer "$peer" persistent-keepalive off
        wg set "$interface" peer "$peer" persistent-keepalive 5
    done
    ;;
ask)
    echo "key $now"
    ;;
confirm)
    if [ -z "$new" ] && [ "$old" = "$Q_NEW" ] && [ "$now" = "$Q_NEW" ]; then
        exit 0
    fi
    [ "$new" = "$Q_NEW" ] && [ "$now" = "$Q_NEW" ] || fail 65 "the old key is back already"
    # At once: the old one is gone, the new one is there.
    mv -f "$mesh/key.new" "$mesh/key"
    links "$mesh/links"
    ;;
return)
    wg set "$interface" private-key "$mesh/key"
    rm -f "$mesh/key.new"
    links "$mesh/links"
    ;;
*) fail 65 "not a step of a rotation: $Q_DO" ;;
esac
