# Sets the peers of the interface. Q_OWNER; Q_LINKS: the list, with its fingerprint on top.

prepared
lock
[ -e "$mesh/peer" ] || fail 1 "the machine has no end of the mesh"
wg show "$interface" >/dev/null 2>&1 || fail 1 "$interface is not there"
printf '%s\n' "$Q_LINKS" | put "$mesh/links.next"
links "$mesh/links.next"
# Stored last: what is stored was applied.
mv -f "$mesh/links.next" "$mesh/links"
