# Takes every peer off the interface. Q_OWNER.

[ -e "$mesh/links" ] || exit 0
ours
lock
rm -f "$mesh/links"
if wg show "$interface" >/dev/null 2>&1; then
    links "$mesh/links"
fi
