# Takes a HAProxy of ours off a machine. Q_OWNER; Q_PROXY: its name.

proxy "$Q_PROXY"
[ -e "$proxy_config" ] || [ -e "$proxy_unit" ] || [ -e "$var/$proxy" ] || exit 0
ours
lock
proxy_remove
