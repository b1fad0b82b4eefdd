# What the scripts about a node have in common. Part of other scripts.
# Q_VERSION: the release, as `v1.35.2`; Q_NODE: the node's name; Q_RUNTIME: the container runtime's
# socket; Q_LOCAL: where this machine finds the API servers; Q_IGNORE: checks that only warn, by
# commas; Q_OFFLINE: yes where images come with the packages; Q_PLUGIN: `later` where the network
# plugin is installed into the cluster.

kube=/etc/kubernetes
run=/run/quorate
log=$run/kubeadm.log
# What was begun here, and whether it was brought to its end: `join`, then `join done`.
begun=$var/kubeadm
bin=$opt/kubernetes/${Q_VERSION#v}/bin
PATH=$bin:$PATH

mkdir -p "$run"
chmod 0700 "$run"
tmp=$(mktemp -d "$run/work.XXXXXX")
aside=
trap '[ "$aside" != maint ] || own_server ready; rm -rf "$tmp"' EXIT

# The release that is asked for is here. kubeadm comes before everything else of a release.
tools() {
    for tool in kubeadm kubelet kubectl; do
        has $tool || fail 75 "the machine is not prepared for Kubernetes yet: no $tool"
    done
    here=$(kubeadm version -o short)
    [ "$here" = "$Q_VERSION" ] ||
        fail 75 "the machine is not prepared for $Q_VERSION yet: kubeadm is $here"
}

# The kubelet of the release becomes the machine's, from its next start.
switch_kubelet() {
    [ -x "$bin/kubelet" ] || return 0
    link=/usr/local/bin/kubelet
    [ "$(readlink -f $link)" != "$(readlink -f "$bin/kubelet")" ] || return 0
    ln -sfn "$bin/kubelet" $link.new
    mv -fT $link.new $link
    systemctl daemon-reload
}

# The API server on this machine, as administrator.
api() {
    kubectl --kubeconfig "$kube/admin.conf" --server https://127.0.0.1:6443 \
        --request-timeout 20s "$@"
}

answers() {
    [ -s "$kube/admin.conf" ] && [ "$(api get --raw /readyz 2>/dev/null)" = ok ]
}

silent() {
    ! answers
}

# await SECONDS COMMAND...: until it succeeds.
await() {
    end=$(($(date +%s) + $1))
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 0.5
    done
}

# Nobody learns tokens and keys from a log.
scrub() {
    sed -u -E -e 's/(^|[^a-z0-9])[a-z0-9]{6}\.[a-z0-9]{16}($|[^a-z0-9])/\1(token)\2/g' \
        -e 's/[0-9a-f]{64}/(key)/g'
}

# Runs kubeadm. What it says stays in the log until the next time.
adm() {
    {
        code=0
        kubeadm "$@" 2>&1 || code=$?
        echo $code >"$tmp/code"
    } | scrub >"$log"
    return "$(cat "$tmp/code")"
}

# The first lines, each up to 300 characters, as one: that is how they are shown.
few() {
    cut -c 1-300 | awk '!seen[$0]++' | head -n "$1" | paste -sd ' ' -
}

# Ends because kubeadm did: with what matters of its words, and what to do about it.
because() {
    if checks=$(grep -o '\[ERROR [A-Za-z0-9_.-]*\]' "$log"); then
        checks=$(echo "$checks" | sed 's/.*ERROR //; s/\]//' | sort -u | paste -sd, -)
        words=$(sed -n 's/^[[:space:]]*\[ERROR /[/p' "$log" | few 4)
        case $checks in
        ImagePull)
            [ "$Q_OFFLINE" = yes ] || fail 1 "images cannot be pulled: $words"
            fail 65 "images are not there: $words: put them into images/ of the packages"
            ;;
        *) fail 65 "not fit for Kubernetes: $words: mend that, or list $checks under" \
            "spec.kubernetes.ignorePreflightErrors" ;;
        esac
    fi
    words=$(grep -iE '^error|error execution|failed|timed out|cannot|unable|unknown field' \
        "$log" | grep -v '^W[0-9]' | few 4)
    [ -n "$words" ] || words=$(tail -n 4 "$log" | few 4)
    case $words in
    *"already exists in the cluster"*)
        fail 75 "the node that was here before is still taken for alive: $words" ;;
    *"strict decoding error"* | *"unknown field"* | *"error unmarshaling"* | \
        *"error converting YAML"* | *nvalid\ value:*)
        fail 65 "kubeadm does not take what spec.kubernetes says: $words" ;;
    *) fail 1 "kubeadm: $words" ;;
    esac
}

# Nothing of somebody else's is taken apart.
unused() {
    [ ! -e "$begun" ] || return 0
    for trace in $kube/kubelet.conf $kube/admin.conf $kube/manifests/etcd.yaml \
        /var/lib/etcd/member; do
        [ ! -e $trace ] || fail 73 "there is a Kubernetes on this machine which is not ours" \
            "($trace): if nobody needs it any more, run \`kubeadm reset\` there"
    done
}

# Takes back what was left half done. Members of etcd come and go by other hands.
clean() {
    adm reset -f --cri-socket "$Q_RUNTIME" --skip-phases=remove-etcd-member ||
        note "kubeadm reset: $(tail -n 2 "$log" | few 2)"
    rm -rf /var/lib/etcd/member $kube/manifests/*.yaml "$var/names"
}

# Everything has started, and then it was cut off: what is left of a join are marks on the node.
# The taints come with the spec.
finish_join() {
    kubectl --kubeconfig "$kube/kubelet.conf" annotate --overwrite node "$Q_NODE" \
        "kubeadm.alpha.kubernetes.io/cri-socket=$Q_RUNTIME" >/dev/null
    [ -s "$kube/manifests/kube-apiserver.yaml" ] || return 0
    set -- node-role.kubernetes.io/control-plane= \
        node.kubernetes.io/exclude-from-external-load-balancers=
    case $Q_VERSION in
    v1.1[0-9].* | v1.2[0-3].*) set -- "$@" node-role.kubernetes.io/master= ;;
    esac
    api label --overwrite node "$Q_NODE" "$@" >/dev/null
}

# The flag of a component that runs here.
flag() {
    sed -n "s/^ *- --$2=//p" "$kube/manifests/$1.yaml" | head -n 1
}

# The text that kubeadm keeps in the cluster.
kept() {
    api -n kube-system get configmap kubeadm-config -o 'jsonpath={.data.ClusterConfiguration}'
}

kept_version() {
    kept | sed -n 's/^kubernetesVersion: //p'
}

# The names in there, one a line.
kept_names() {
    kept | awk '
        /^ *certSANs:/ { inside = 1; next }
        inside && /^ *- / { sub(/^ *- /, ""); gsub(/["\047]/, ""); print; next }
        { inside = 0 }'
}

# Fills in what a document leaves to this node.
fill() {
    heartbeat=$(flag etcd heartbeat-interval)
    election=$(flag etcd election-timeout)
    version=$(kept_version 2>/dev/null || true)
    # It is kept there near the end of the founding only.
    [ "$(cat "$begun")" != init ] || version=${version:-$Q_VERSION}
    [ -n "$version" ] || fail 1 "the cluster does not say what kubeadm keeps in it"
    sed -e "s/@ADDRESS@/$(flag kube-apiserver advertise-address)/" -e "s/@VERSION@/$version/" \
        -e "s/@HEARTBEAT@/${heartbeat:-100}/" -e "s/@ELECTION@/${election:-1000}/" \
        -e "s/@KEY@/${1:-}/"
}

# conf_at URL: an administrator's credentials that lead there.
conf_at() {
    sed "s|^\( *server: \).*|\1$1|" "$kube/admin.conf" >"$tmp/admin.conf"
    echo "$tmp/admin.conf"
}

# The same, to the API server here.
own_conf() {
    conf_at https://127.0.0.1:6443
}

# order WORD...: to this machine's own proxy, by its socket.
order() {
    echo "$*" | timeout 5 socat -t 5 - "UNIX-CONNECT:$socket"
}

# own_server STATE: the API server here is there for this machine, too (`ready`), or for others only
# (`maint`). Without its etcd it lets all wait who ask it: also the kubelet, which asks before it
# starts that etcd, and kubeadm, which waits for the kubelet. Nothing to do where it is the only one.
own_server() {
    socket=$run-api-proxy.sock
    own=
    [ -S "$socket" ] && has socat || return 0
    own=$(awk -v at="$(flag kube-apiserver advertise-address):6443" '
        $1 == "server" { count++; if ($3 == at) name = $2 }
        END { if (count > 1) print name }' "$etc/api-proxy.cfg")
    [ -n "$own" ] || return 0
    aside=$1
    order "set server api/$own state $1" >/dev/null || return 0
    # What is open there would wait on.
    [ "$1" != maint ] || order "shutdown sessions server api/$own" >/dev/null || true
}

# The proxy leads to it: its status is the 18th field (HAProxy's management guide, 9.1).
own_up() {
    [ -z "$own" ] || order show stat |
        awk -F , -v own="$own" '$1 == "api" && $2 == own && $18 ~ /^UP/ { up = 1 } END { exit !up }'
}

# Where the API server here answers again, this machine asks it again: a kubelet is never newer than
# what it talks to.
own_again() {
    own_server ready
    await 20 own_up || fail 1 "the proxy here does not lead to the API server beside it"
}

# What kubeadm keeps in the cluster becomes what Q_CONFIG says.
keep() {
    printf '%s\n' "$Q_CONFIG" | fill >"$tmp/cluster.yaml"
    adm init phase upload-config kubeadm --config "$tmp/cluster.yaml" --kubeconfig "$(own_conf)" ||
        because
}

# A static pod gets another text, at once: the kubelet must not see half of it, nor two of it.
put_pod() {
    cp "$1" "$kube/.$2.new"
    chmod 0600 "$kube/.$2.new"
    mv -f "$kube/.$2.new" "$kube/manifests/$2.yaml"
}

# The kubelet finds the API servers through this machine's own proxy: no balancer and no name
# server stands between.
through_proxy() {
    grep -qF " server: $Q_LOCAL" "$kube/kubelet.conf" && return 0
    sed "s|^\( *server: \).*|\1$Q_LOCAL|" "$kube/kubelet.conf" >"$kube/.kubelet.conf.new"
    chmod 0600 "$kube/.kubelet.conf.new"
    mv -f "$kube/.kubelet.conf.new" "$kube/kubelet.conf"
    systemctl restart kubelet
}

# And kube-proxy, on every node: there is none where something else takes its place.
kube_proxy_through_proxy() {
    api -n kube-system get configmap kube-proxy --ignore-not-found -o yaml >"$tmp/before.yaml"
    sed "s|^\( *server: \).*|\1$Q_LOCAL|" "$tmp/before.yaml" >"$tmp/after.yaml"
    cmp -s "$tmp/before.yaml" "$tmp/after.yaml" && return 0
    api replace -f "$tmp/after.yaml" >/dev/null
    api -n kube-system rollout restart daemonset kube-proxy >/dev/null
}

# What the API says of this node, to its own kubelet.
node() {
    kubectl --kubeconfig "$kube/kubelet.conf" --request-timeout 10s get node "$Q_NODE" \
        -o "jsonpath=$1" 2>"$tmp/node"
}

ready() {
    said=$(node '{range .status.conditions[?(@.type=="Ready")]}{.status} {.message}{end}') ||
        { said=$(few 1 <"$tmp/node") && return 1; }
    case $said in
    "True "*) return 0 ;;
    *[Nn]etwork" "[Pp]lugin* | *NetworkPluginNotReady* | *NetworkReady=false*)
        # The plugin's own pods run on nodes like this one.
        [ "$Q_PLUGIN" = later ] ;;
    *) return 1 ;;
    esac
}

await_ready() {
    await "$1" ready || fail 1 "the node is not Ready after $1 s: ${said:-nothing is said of it}"
}

# The kubelet is of the release that is asked for, and works.
await_release() {
    [ "$(node '{.status.nodeInfo.kubeletVersion}')" = "$Q_VERSION" ]
}

upgrade_kubelet() {
    switch_kubelet
    ! await_release || return 0
    systemctl restart kubelet
    await 120 await_release ||
        fail 1 "the kubelet is of $(node '{.status.nodeInfo.kubeletVersion}') after its restart"
}

# Until the API server here has stopped and come back, for what restarts it.
await_restart() {
    await 20 silent || true
    await "$1" answers ||
        fail 1 "the API server here does not come back within $1 s: its containers' logs say why"
}
