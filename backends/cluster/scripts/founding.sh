# The first control plane's `kubeadm init`, from whichever point. Part of other scripts.
# Q_CONFIG: what kubeadm reads; Q_NAMES: names in its certificate, one a line.

# What cannot be had is left out, if a cluster can do without.
without() {
    [ "$Q_OFFLINE" = yes ] || return 0
    kubeadm config images list --config "$1" >"$tmp/wanted" 2>"$tmp/said" ||
        fail 65 "kubeadm does not take what spec.kubernetes says: $(few 3 <"$tmp/said")"
    ctr -n k8s.io images ls -q >"$tmp/there"
    missing=$(grep -vxFf "$tmp/there" "$tmp/wanted" || true)
    case $missing in
    *coredns*)
        note "no image of CoreDNS came with the packages: the cluster has no DNS of its own"
        skip=${skip:+$skip,}addon/coredns
        ;;
    esac
    # The pause image is the container runtime's matter.
    missing=$(echo "$missing" | grep -Ev '(coredns|pause)[:@]' | paste -sd' ' -)
    [ -z "$missing" ] || fail 65 "images are not there: $missing: put them into images/ of the" \
        "packages"
}

# From the beginning; with `preflight`, where an API server is there already: what is done may be
# done twice.
init() {
    skip=$1
    echo init | put "$begun"
    printf '%s\n' "$Q_CONFIG" >"$tmp/init.yaml"
    # Where it came up already, its own pods know what is not said.
    [ -z "$skip" ] || { fill <"$tmp/init.yaml" >"$tmp/filled.yaml" &&
        mv "$tmp/filled.yaml" "$tmp/init.yaml"; }
    without "$tmp/init.yaml"
    adm init --config "$tmp/init.yaml" ${Q_IGNORE:+--ignore-preflight-errors="$Q_IGNORE"} \
        ${skip:+--skip-phases="$skip"} || because
    [ -e "$var/names" ] || printf '%s\n' "$Q_NAMES" | put "$var/names"
    echo "init done" | put "$begun"
}
