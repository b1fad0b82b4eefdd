# Which part of becoming a node is behind this machine: none, half, up (all that matters runs) or
# joined. Waits for what is under way. Q_WAIT: seconds; Q_ROLE: control-plane or worker.

prepared
mkdir -p "$run"
exec 8>"$run/lock"
flock -w "$Q_WAIT" 8 || fail 75 "kubeadm is still at work on this machine"
tools
unused
works() {
    case $Q_ROLE in
    control-plane) [ -s "$kube/manifests/etcd.yaml" ] && answers ;;
    worker) [ -s "$kube/kubelet.conf" ] && node '{.metadata.name}' >/dev/null ;;
    esac
}
state=$(cat "$begun" 2>/dev/null || true)
case $state in
"") echo none ;;
*" done")
    if await 20 works; then echo joined; else echo half; fi
    ;;
*)
    [ ! -s "$kube/kubelet.conf" ] || await 30 works || true
    if works; then echo up; else echo half; fi
    ;;
esac
