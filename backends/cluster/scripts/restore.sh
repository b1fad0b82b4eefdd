# One step of putting a snapshot of etcd back. Q_STEP: which; Q_KUBE: kubeadm's folder; Q_DATA: etcd's
# data; Q_KEEP: where all that is moved away is kept; Q_NAME, Q_PEER: the member here, and where its
# peers find it. Every step may be done twice.

ours
pods=$Q_KUBE/manifests
member=$Q_DATA/member
mkdir -p "$Q_KEEP"

# etcd holds a lock on its database as long as it runs.
halted() {
    [ ! -e "$member/snap/db" ] || flock -n "$member/snap/db" true
}

# The API server first, so that nothing is written any more; kubelet ends what has no manifest.
halt() {
    for pod in kube-apiserver etcd; do
        [ ! -e "$pods/$pod.yaml" ] || mv "$pods/$pod.yaml" "$Q_KEEP/$pod.yaml"
    done
    tries=0
    until halted; do
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || fail 75 "etcd still runs"
        sleep 1
    done
}

# The snapshot comes on standard input; its last 32 bytes are the sum of all others.
bring() {
    put "$Q_KEEP/snapshot.db"
    sum=$(head -c -32 "$Q_KEEP/snapshot.db" | sha256sum | cut -d' ' -f1)
    end=$(tail -c 32 "$Q_KEEP/snapshot.db" | od -An -v -tx1 | tr -d ' \n')
    [ "$sum" = "$end" ] || fail 65 "the snapshot is damaged: its sum does not fit"
}

# etcd's own tool: of this machine, or out of the image that the member here runs from.
tool() {
    if has etcdutl; then
        etcdutl snapshot restore "$@"
    elif has etcdctl; then
        ETCDCTL_API=3 etcdctl snapshot restore "$@"
    else
        image=$(sed -n 's/^ *image: *//p' "$Q_KEEP/etcd.yaml" | head -n 1)
        [ -n "$image" ] || fail 1 "neither etcdutl nor the manifest of etcd is here"
        for program in etcdutl etcdctl; do
            ! ctr -n k8s.io run --rm --env ETCDCTL_API=3 \
                --mount "type=bind,src=$Q_KEEP,dst=$Q_KEEP,options=rbind:rw" \
                "$image" "quorate-restore-$$" "$program" snapshot restore "$@" || return 0
        done
        return 1
    fi
}

# A cluster of one member with the snapshot's data; what was there is kept.
restore() {
    [ -s "$Q_KEEP/snapshot.db" ] || fail 1 "the snapshot is not here yet"
    halted || fail 75 "etcd still runs"
    [ ! -e "$Q_KEEP/restored" ] || return 0
    rm -rf "$Q_KEEP/new"
    tool "$Q_KEEP/snapshot.db" --data-dir "$Q_KEEP/new" --name "$Q_NAME" \
        --initial-cluster "$Q_NAME=$Q_PEER" --initial-advertise-peer-urls "$Q_PEER" \
        --initial-cluster-token "restored-$(date +%s)" >"$Q_KEEP/said" 2>&1 ||
        fail 1 "etcd's own tool refuses: $(tail -n 3 "$Q_KEEP/said" | tr '\n' ' ')"
    mkdir -p "$Q_DATA"
    chmod 0700 "$Q_DATA"
    [ ! -e "$member" ] || mv "$member" "$Q_KEEP/member-$(date +%s)"
    mv "$Q_KEEP/new/member" "$member"
    rm -rf "$Q_KEEP/new"
    echo yes | put "$Q_KEEP/restored"
}

# The member first: an API server without one only ends again.
start() {
    [ -e "$Q_KEEP/restored" ] || fail 1 "nothing was restored here"
    if [ -e "$Q_KEEP/etcd.yaml" ]; then
        sed "s|--initial-cluster=.*|--initial-cluster=$Q_NAME=$Q_PEER|
            s|--initial-cluster-state=.*|--initial-cluster-state=new|" "$Q_KEEP/etcd.yaml" |
            put "$Q_KEEP/etcd.yaml.single"
        mv "$Q_KEEP/etcd.yaml.single" "$pods/etcd.yaml"
        rm -f "$Q_KEEP/etcd.yaml"
    fi
    [ ! -e "$Q_KEEP/kube-apiserver.yaml" ] ||
        mv "$Q_KEEP/kube-apiserver.yaml" "$pods/kube-apiserver.yaml"
    rm -f "$Q_KEEP/restored" "$Q_KEEP/snapshot.db"
}

case $Q_STEP in
halt) halt ;;
bring) bring ;;
restore) restore ;;
start) start ;;
*) fail 65 "there is no step $Q_STEP" ;;
esac
