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
# Releases of Kubernetes, side by side: 1.35.2/bin, 1.35.2/cni.
kubernetes=$opt/kubernetes
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

# As put, but a file that has this content already is left as it is; else `changed` is not empty.
keep() {
    cat >"$1.new"
    if cmp -s "$1.new" "$1"; then
        rm -f "$1.new"
    else
        chmod 0644 "$1.new"
        mv -f "$1.new" "$1"
        changed=yes
    fi
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

# Sets a value of the kernel's, `net.ipv4.ip_forward 1`, and lists it in $var/sysctls. What it was is
# kept for the reset.
setting() {
    file=/proc/sys/$(echo "$1" | tr . /)
    echo "$1 $2" >>"$var/sysctls"
    if [ ! -e "$file" ]; then
        note "$1 is not known here"
    elif [ "$(cat "$file")" != "$2" ]; then
        mkdir -p "$var/before"
        [ -e "$var/before/$1" ] || cat "$file" | put "$var/before/$1"
        # /proc/sys is read-only in some containers.
        (echo "$2" >"$file") 2>/dev/null || note "$1 stays $(cat "$file"): it is read-only here"
    fi
}

# The kubelet of this release is the one that starts from now on; one that runs goes on as it is.
kubelet_switch() {
    kubelet=$kubernetes/${1#v}/bin/kubelet
    [ -x "$kubelet" ] || fail 1 "Kubernetes ${1#v} is not on this machine"
    ln -sf "$kubelet" /usr/local/bin/kubelet.new
    mv -fT /usr/local/bin/kubelet.new /usr/local/bin/kubelet
}

# Files with which a machine carries Kubernetes.
kubelet_unit=/etc/systemd/system/kubelet.service
kubelet_more=/etc/systemd/system/kubelet.service.d/10-kubeadm.conf
pods_unit=/etc/systemd/system/quorate-pods.service
pods_net=/etc/cni/net.d/10-quorate.conflist

# What stands in them, as one word.
kubernetes_sum() {
    cat "$kubelet_unit" "$kubelet_more" "$pods_unit" "$pods_net" "$var/pods" 2>/dev/null |
        sha256sum | cut -d ' ' -f 1
}

# containerd's configuration as it was found.
containerd_config=/etc/containerd/config.toml
containerd_restore() {
    if [ -s "$var/containerd.before" ]; then
        put "$containerd_config" <"$var/containerd.before"
    else
        rm -f "$containerd_config"
    fi
    rm -f "$var/containerd.before"
}
