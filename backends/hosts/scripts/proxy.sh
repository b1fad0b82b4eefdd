# Puts a HAProxy of ours to work, or gives the one that works a new configuration: connections that
# are open stay, and none that comes is refused meanwhile. One that does not work never replaces one
# that does.
# Q_OWNER; Q_PRINT: fingerprint of the spec; Q_PROXY: its name; Q_CONFIG: its configuration;
# Q_HOSTS: lines for /etc/hosts.

prepared
lock
proxy "$Q_PROXY"

if ! has haproxy; then
    # The package starts one of its own, which is not asked for.
    ! systemd || systemctl --quiet --runtime mask haproxy.service
    install haproxy
    if systemd; then
        systemctl --quiet --runtime unmask haproxy.service
        systemctl --quiet disable haproxy.service || true
    fi
fi
haproxy=$(command -v haproxy)
# SELinux lets HAProxy use the ports of the web only, unless told otherwise.
if has getenforce && has setsebool && [ "$(getenforce)" = Enforcing ]; then
    setsebool -P haproxy_connect_any 1 || note "SELinux keeps HAProxy to the ports of the web"
fi

unit_text() {
    cat <<END
[Unit]
Description=HAProxy of Quorate: $proxy
After=network.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=$haproxy -Ws -f $proxy_config -p $proxy_pid
ExecReload=$haproxy -c -q -f $proxy_config
ExecReload=/bin/kill -USR2 \$MAINPID
KillMode=mixed
SuccessExitStatus=143
Restart=always
RestartSec=100ms

[Install]
WantedBy=multi-user.target
END
}

proxy_said() {
    if systemd; then
        journalctl -q --no-pager -o cat -n 10 -u "quorate-$proxy.service" || true
    else
        tail -n 10 "$proxy_log" 2>/dev/null || true
    fi
}

proxy_start() {
    if systemd; then
        systemctl restart "quorate-$proxy.service"
        return
    fi
    # No service manager: on its own, without our lock and our pipes.
    setsid "$haproxy" -W -f "$proxy_config" -p "$proxy_pid" \
        </dev/null >>"$proxy_log" 2>&1 9>&- &
    started=$!
    echo "$started" | put "$proxy_pid"
    tries=0
    until [ -n "$(proxy_workers "$started")" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 50 ] && kill -0 "$started" 2>/dev/null || return 1
        sleep 0.1
    done
}

# The master takes the new configuration over or not: it did where it has a new worker. Ports that
# are taken it tries for 2 s.
proxy_reload() {
    master=$(proxy_master)
    old=" $(proxy_workers "$master" | tr '\n' ' ')"
    kill -USR2 "$master" || return 1
    tries=0
    while [ "$tries" -lt 50 ]; do
        tries=$((tries + 1))
        for worker in $(proxy_workers "$master"); do
            case $old in *" $worker "*) ;; *) return 0 ;; esac
        done
        sleep 0.1
    done
    return 1
}

printf '%s\n' "$Q_CONFIG" >"$proxy_config.new"
[ -e /proc/net/if_inet6 ] || sed -i '/^ *bind \[::\]/d' "$proxy_config.new"
said=$("$haproxy" -c -f "$proxy_config.new" 2>&1) || {
    rm -f "$proxy_config.new"
    fail 65 "$("$haproxy" -v | head -n 1) does not take its configuration: $said"
}

# Whoever else listens where this one is to: HAProxy would see that only after it has stopped its old
# processes from listening for a while.
if [ -n "$(proxy_master)" ]; then binds=$proxy_config; else binds=/dev/null; fi
awk '$1 == "bind" { print $2 }' "$proxy_config.new" | while read -r bind; do
    ! grep -qF " bind $bind" "$binds" || continue
    ss -Hltn "sport = :${bind##*:}" | awk -v host="${bind%:*}" '
        BEGIN { every["0.0.0.0"]; every["[::]"]; every["*"] }
        { at = $4; sub(/:[0-9]*$/, "", at); if (at == host || at in every || host in every) exit 1 }' ||
        fail 65 "port ${bind##*:} of the $proxy is taken by somebody else on this machine"
done || {
    code=$?
    rm -f "$proxy_config.new"
    exit "$code"
}

# Requests that are under way at servers that leave come to their end: whoever took a server out of
# here takes it away next. What stays open for good, as watches do, is not waited for any longer.
proxy_drain() {
    [ -e "$proxy_config.before" ] || return 0
    leaving=$(awk '$1 != "server" { next } FILENAME == ARGV[1] { stays[$3]; next }
        !($3 in stays) && !seen[$3]++ { printf "%sdst %s", (some++ ? " or " : ""), $3 }' \
        "$proxy_config" "$proxy_config.before")
    [ -n "$leaving" ] || return 0
    tries=0
    while [ "$tries" -lt 30 ] && [ -n "$(ss -Htn state established "( $leaving )")" ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
}

restart=
if systemd; then
    changed=
    # Not in a pipe, which would keep to itself that it has changed.
    keep "$proxy_unit" <<END
$(unit_text)
END
    restart=$changed
    [ -z "$changed" ] || systemctl daemon-reload
    systemctl -q is-enabled "quorate-$proxy.service" ||
        systemctl enable --quiet "quorate-$proxy.service"
fi
proxy_works || restart=yes
if [ -n "$restart" ] || ! cmp -s "$proxy_config.new" "$proxy_config"; then
    [ ! -e "$proxy_config" ] || cp "$proxy_config" "$proxy_config.before"
    mv -f "$proxy_config.new" "$proxy_config"
    change=proxy_reload
    [ -z "$restart" ] || change=proxy_start
    $change || {
        said=$(proxy_said)
        # What worked until now works on, also after a boot.
        if [ -e "$proxy_config.before" ]; then
            mv -f "$proxy_config.before" "$proxy_config"
            $change || true
        fi
        case $said in
        *"ddress already in use"* | *"cannot bind socket"*)
            fail 65 "a port of the $proxy is taken by somebody else on this machine: $said"
            ;;
        esac
        fail 1 "the $proxy does not start: $said"
    }
    proxy_drain
fi
rm -f "$proxy_config.new" "$proxy_config.before"
[ "$proxy" != api-proxy ] || hosts_put "$Q_HOSTS"
# Last: it works when all of the above is done.
echo "$Q_PRINT $(proxy_sum)" | put "$var/$proxy"
