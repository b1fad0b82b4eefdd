# containerd as kubelet wants it, and images in it. Part of other scripts; after release.sh.
# Q_REGISTRY: where Kubernetes' own images are from; empty: as kubeadm has it.

# Whether containerd with this configuration (as it sees it itself) suits: the same keeper of
# control groups as kubelet's, the plugins where they are, the image of this release that holds a
# pod's network.
suits() {
    grep -q 'SystemdCgroup = true' "$1" && ! grep -q 'SystemdCgroup = false' "$1" &&
        grep -Eq "sandbox(_image)? = [\"']${pause}[\"']" "$1" &&
        grep -Eq "bin_dirs? = .*/opt/cni/bin" "$1" &&
        ! grep -Eq '^disabled_plugins = .*[".]cri"' "$1"
}

runtime() {
    pause=$("$release/bin/kubeadm" config images list --kubernetes-version "v$Q_KUBERNETES" \
        ${Q_REGISTRY:+"--image-repository=$Q_REGISTRY"} 2>/dev/null | grep '/pause:' | head -n 1)
    [ -n "$pause" ] || fail 1 "kubeadm does not say which image holds a pod's network"
    seen=$var/containerd.seen
    containerd config dump >"$seen" || fail 65 "containerd does not take $containerd_config"
    restart=
    if ! suits "$seen"; then
        # Whatever else stands in it stays. Without its part for Kubernetes it does not show that.
        grep -Eq 'sandbox(_image)? =' "$seen" || containerd config default >"$seen"
        mkdir -p "${containerd_config%/*}"
        sed -e 's/SystemdCgroup = false/SystemdCgroup = true/' \
            -e "s|^\( *sandbox_image = \).*|\1\"$pause\"|" \
            -e "s|^\( *sandbox = \).*|\1'$pause'|" \
            -e "s|^\( *bin_dir = \)[\"'].\{1,\}|\1\"/opt/cni/bin\"|" \
            -e "s|^\( *bin_dirs = \).*|\1['/opt/cni/bin']|" \
            -e 's/^disabled_plugins = .*/disabled_plugins = []/' \
            "$seen" >"$containerd_config.new"
        if [ ! -e "$var/containerd.before" ]; then
            # Empty: there was none.
            cat "$containerd_config" 2>/dev/null | put "$var/containerd.before"
        fi
        mv -f "$containerd_config.new" "$containerd_config"
        # It shows only what stands in its usual place.
        if ! containerd config dump >"$seen" || ! suits "$seen"; then
            containerd_restore
            fail 65 "$(containerd --version) has settings that are not known here: $(grep -En \
                'SystemdCgroup|sandbox(_image)? =|bin_dirs? =|^disabled_plugins' "$seen")"
        fi
        restart=yes
    fi
    rm -f "$seen"
    systemctl enable --quiet containerd.service
    if [ -n "$restart" ] || ! systemctl -q is-active containerd.service; then
        systemctl restart containerd.service || {
            journalctl -q --no-pager -o cat -n 10 -u containerd.service >&2 || true
            fail 1 "containerd does not start"
        }
    fi
}

in_containerd() {
    ctr --namespace k8s.io images "$@"
}

# Names of the images in an archive, as `docker save` writes them.
image_names() {
    tar -xOf "$1" manifest.json 2>/dev/null | tr -d ' \n' | grep -o '"RepoTags":\[[^]]*\]' |
        sed 's/.*\[//; s/\]//; s/"//g' | tr ',' '\n' || true
}

# Whether containerd has all images of these names, one a line.
has_images() {
    [ -s "$1" ] && in_containerd list -q | awk '
        FILENAME == ARGV[1] { want[$1] = 1; next }
        { delete want[$1] }
        END { for (name in want) exit 1 }' "$1" -
}

# Images that came with the release; each goes when it is in containerd.
images() {
    for image in "$release"/images/*.tar; do
        [ -e "$image" ] || continue
        image_names "$image" >"$var/import.names"
        if ! has_images "$var/import.names"; then
            in_containerd import "$image" >"$var/import.log" 2>&1 || {
                tail -n 5 "$var/import.log" >&2
                fail 1 "containerd does not take ${image##*/}"
            }
        fi
        # Only what containerd shows under this name will be missed later.
        if has_images "$var/import.names"; then
            cat "$var/import.names" >>"$release/imported"
        fi
        rm -f "$image"
    done
    rm -f "$var/import.names" "$var/import.log"
}

# Gets the release again if containerd has lost something of it.
images_kept() {
    if [ -s "$release/imported" ] && ! has_images "$release/imported"; then
        rm -f "$release/from"
        release_get
        images
    fi
}
