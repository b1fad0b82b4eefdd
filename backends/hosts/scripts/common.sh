# What every script on a machine begins with: where things are, whose they are, how they are written.
# Variables whose names begin with Q_ are the arguments; they stand before this text.
# How a script ends: 0 done, 65 wrong, 73 somebody else's, 75 ask again; anything else: try again.
set -eu
umask 077
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
export LC_ALL PATH

etc=/etc/quorate
var=/var/lib/quorate
mesh=$var/mesh
opt=/opt/quorate
agent=$opt/bin/quorate
pidfile=/run/quorate-mesh.pid
unit=/etc/systemd/system/quorate-mesh.service
sysctls=/etc/sysctl.d/60-quorate.conf
interface=quorate0

# Ends with a code and a sentence.
fail() {
    code=$1
    shift
    echo "$*" >&2
    exit "$code"
}

# For people; does not change how the script ends.
note() {
    echo "note: $*" >&2
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# systemd is the one that runs here, not only installed.
systemd() {
    [ -d /run/systemd/system ] && has systemctl
}

# Standard input becomes the file, at once or not at all.
put() {
    cat >"$1.new"
    mv -f "$1.new" "$1"
}

# One script at a time changes a machine: one that was given up on may still be at work.
lock() {
    mkdir -p "$var"
    chmod 0700 "$var"
    exec 9>"$var/lock"
    flock -w 10 9 || fail 75 "another run is at work on this machine"
}

# Nothing of somebody else's is touched.
ours() {
    [ -e "$etc/owner" ] || return 0
    read -r owner <"$etc/owner" || owner=unreadable
    [ "$owner" = "$Q_OWNER" ] || fail 73 "this machine belongs to \`$owner\` (cluster, identity," \
        "machine), not to \`$Q_OWNER\`; if nobody uses it there any more, remove $etc/owner on it"
}

prepared() {
    ours
    [ -e "$etc/owner" ] || fail 1 "the machine is not prepared"
}

# One word of what is stored of the mesh: address, port, mtu, plane, fingerprint.
stored() {
    sed -n "s/^$1 //p" "$mesh/peer"
}
