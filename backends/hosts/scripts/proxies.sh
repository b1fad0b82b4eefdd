# Our own HAProxies: what belongs to each, whether it runs, how it goes. Part of other scripts.

# Sets what belongs to the one with this name.
proxy() {
    proxy=$1
    proxy_config=$etc/$proxy.cfg
    proxy_unit=/etc/systemd/system/quorate-$proxy.service
    proxy_pid=/run/quorate-$proxy.pid
    proxy_log=$var/$proxy.log
}

# The process of the master; nothing where none runs. A number that is stored may be another
# process's by now.
proxy_master() {
    if systemd; then
        systemctl show -p MainPID "quorate-$proxy.service" | sed 's/^MainPID=0*//'
    elif [ -e "$proxy_pid" ] && read -r pid <"$proxy_pid" &&
        tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF " $proxy_config "; then
        echo "$pid"
    fi
}

# The processes that a master has started.
proxy_workers() {
    grep -l "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status 2>/dev/null |
        sed 's|^/proc/||; s|/status$||' || true
}

# Ours among the names that the machine knows.
hosts_block() {
    sed -n '/^# Quorate: begin$/,/^# Quorate: end$/p' /etc/hosts
}

# Lines become our block of /etc/hosts; nothing takes it away.
hosts_put() {
    {
        sed '/^# Quorate: begin$/,/^# Quorate: end$/d' /etc/hosts
        [ -z "$1" ] || printf '# Quorate: begin\n%s\n# Quorate: end\n' "$1"
    } >"$var/hosts.new"
    if ! cmp -s "$var/hosts.new" /etc/hosts; then
        # In some containers the file is a mount, which nothing can be moved to.
        cp "$var/hosts.new" /etc/hosts.quorate
        chmod 0644 /etc/hosts.quorate
        mv -f /etc/hosts.quorate /etc/hosts 2>/dev/null || {
            cat "$var/hosts.new" >/etc/hosts
            rm -f /etc/hosts.quorate
        }
    fi
    rm -f "$var/hosts.new"
}

# What is there of it, as one word.
proxy_sum() {
    {
        cat "$proxy_config" 2>/dev/null || true
        [ "$proxy" != api-proxy ] || hosts_block
    } | sha256sum | cut -d ' ' -f 1
}

# Whether it works, and will after a boot where somebody sees to that.
proxy_works() {
    master=$(proxy_master)
    [ -n "$master" ] && [ -n "$(proxy_workers "$master")" ] || return 1
    ! systemd || systemctl -q is-enabled "quorate-$proxy.service"
}

# Takes it away.
proxy_remove() {
    if systemd; then
        if [ -e "$proxy_unit" ]; then
            systemctl disable --quiet --now "quorate-$proxy.service" || true
            rm -f "$proxy_unit"
            systemctl daemon-reload
        fi
    else
        master=$(proxy_master)
        # The master takes its workers with it.
        [ -z "$master" ] || kill "$master" 2>/dev/null || true
    fi
    rm -f "$proxy_config" "$proxy_config.new" "$proxy_config.before" "$proxy_pid" "$proxy_log"
    rm -f "/run/quorate-$proxy.sock" "$var/$proxy"
    [ "$proxy" != api-proxy ] || hosts_put ""
}
