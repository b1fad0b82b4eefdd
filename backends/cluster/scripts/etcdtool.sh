# etcd's own tool for data that nobody uses. Part of other scripts. Q_KUBE: kubeadm's folder; Q_DATA:
# etcd's data; Q_KEEP: where all that is moved away is kept.

pods=$Q_KUBE/manifests
member=$Q_DATA/member

# etcd holds a lock on its database as long as it runs.
halted() {
    [ ! -e "$member/snap/db" ] || flock -n "$member/snap/db" true
}

# tool ARGUMENTS...: of this machine, or out of the image that the member here runs from.
tool() {
    if has etcdutl; then
        etcdutl snapshot "$@"
    elif has etcdctl; then
        ETCDCTL_API=3 etcdctl snapshot "$@"
    else
        image=$(cat "$pods/etcd.yaml" "$Q_KEEP/etcd.yaml" 2>/dev/null |
            sed -n 's/^ *image: *//p' | head -n 1)
        [ -n "$image" ] || fail 1 "neither etcdutl nor the manifest of etcd is here"
        for program in etcdutl etcdctl; do
            ! ctr -n k8s.io run --rm --env ETCDCTL_API=3 \
                --mount "type=bind,src=$Q_KEEP,dst=$Q_KEEP,options=rbind:rw" \
                "$image" "quorate-restore-$$" "$program" snapshot "$@" || return 0
        done
        return 1
    fi
}
