# One step of putting a snapshot of etcd back. After etcdtool.sh. Q_STEP: which; Q_KEEP: a folder of
# this one restoration; Q_NAME, Q_PEER: the member here, and where its peers find it. Every step may
# be done twice, and may be cut off anywhere. What was there before is never deleted.

ours
umask 077
mkdir -p "$Q_KEEP"
before=$Q_KEEP/member-before
once=$Q_KEEP/snapshot.db

# The snapshot comes on standard input; its last 32 bytes are the sum of all others.
bring() {
    put "$once"
    sum=$(head -c -32 "$once" | sha256sum | cut -d' ' -f1)
    end=$(tail -c 32 "$once" | od -An -v -tx1 | tr -d ' \n')
    [ "$sum" = "$end" ] || fail 65 "the snapshot is damaged: its sum does not fit"
}

# What the halted member here has, in the place of a snapshot.
take() {
    [ ! -e "$Q_KEEP/restored" ] || return 0
    halted || fail 75 "etcd still runs"
    [ -s "$member/snap/db" ] || fail 65 "there are no data of etcd here"
    put "$once" <"$member/snap/db"
    echo yes | put "$Q_KEEP/taken"
}

# Data of a cluster of one member, beside those that are there.
prepare() {
    [ ! -e "$Q_KEEP/restored" ] && [ ! -e "$Q_KEEP/prepared" ] || return 0
    [ -s "$once" ] || fail 1 "the snapshot is not here yet"
    rm -rf "$Q_KEEP/new"
    # The database of a member has no sum at its end.
    tool restore "$once" --data-dir "$Q_KEEP/new" --name "$Q_NAME" \
        --initial-cluster "$Q_NAME=$Q_PEER" --initial-advertise-peer-urls "$Q_PEER" \
        --initial-cluster-token "restored-$(basename "$Q_KEEP")" \
        --skip-hash-check="$([ -e "$Q_KEEP/taken" ] && echo true || echo false)" \
        >"$Q_KEEP/said" 2>&1 ||
        fail 1 "etcd's own tool refuses: $(tail -n 3 "$Q_KEEP/said" | tr '\n' ' ')"
    sync
    echo yes | put "$Q_KEEP/prepared"
}

# The API server first, so that nothing is written any more; kubelet ends what has no manifest.
halt() {
    [ ! -e "$Q_KEEP/started" ] && [ ! -e "$Q_KEEP/aside" ] || return 0
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

# carry FROM TO: whole or not at all, over the border of a file system, too. Cut off there, it may
# leave both.
carry() {
    if [ "$(stat -c %d "$1")" = "$(stat -c %d "$(dirname "$2")")" ]; then
        mv -T "$1" "$2"
    else
        rm -rf "$2.part"
        cp -a "$1" "$2.part"
        sync
        mv -T "$2.part" "$2"
        sync
        rm -rf "$1"
    fi
}

# The data here go away and are kept.
put_aside() {
    halted || fail 75 "etcd still runs"
    [ -e "$member" ] || return 0
    if [ -e "$before" ]; then
        carry "$member" "$before-$(date +%s)"
    else
        carry "$member" "$before"
    fi
}

# This member has no part in the cluster any more: it joins anew.
aside() {
    [ ! -e "$Q_KEEP/aside" ] || return 0
    put_aside
    echo yes | put "$Q_KEEP/aside"
}

# The prepared data take the place of those that are there.
restore() {
    [ ! -e "$Q_KEEP/restored" ] || return 0
    [ -e "$Q_KEEP/prepared" ] || fail 1 "the data are not prepared yet"
    halted || fail 75 "etcd still runs"
    if [ -e "$Q_KEEP/new/member" ]; then
        put_aside
        mkdir -p "$Q_DATA"
        chmod 0700 "$Q_DATA"
        carry "$Q_KEEP/new/member" "$member"
    fi
    sync
    echo yes | put "$Q_KEEP/restored"
    rm -rf "$Q_KEEP/new" "$once"
}

# The member first: an API server without one only ends again.
start() {
    [ ! -e "$Q_KEEP/started" ] || return 0
    [ -e "$Q_KEEP/restored" ] || fail 1 "nothing was restored here"
    if [ -e "$Q_KEEP/etcd.yaml" ]; then
        sed "s|--initial-cluster=.*|--initial-cluster=$Q_NAME=$Q_PEER|
            s|--initial-cluster-state=.*|--initial-cluster-state=new|" "$Q_KEEP/etcd.yaml" \
            >"$Q_KUBE/.etcd.new"
        chmod 0600 "$Q_KUBE/.etcd.new"
        mv -f "$Q_KUBE/.etcd.new" "$pods/etcd.yaml"
        mv -f "$Q_KEEP/etcd.yaml" "$Q_KEEP/etcd.yaml.before"
    fi
    if [ -e "$Q_KEEP/kube-apiserver.yaml" ]; then
        cp -p "$Q_KEEP/kube-apiserver.yaml" "$Q_KUBE/.kube-apiserver.new"
        mv -f "$Q_KUBE/.kube-apiserver.new" "$pods/kube-apiserver.yaml"
        rm -f "$Q_KEEP/kube-apiserver.yaml"
    fi
    echo yes | put "$Q_KEEP/started"
}

case $Q_STEP in
bring | take | prepare | halt | aside | restore | start) $Q_STEP ;;
*) fail 65 "there is no step $Q_STEP" ;;
esac
