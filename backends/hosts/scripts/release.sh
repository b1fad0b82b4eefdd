# A release of Kubernetes on a machine, beside others: $kubernetes/1.35.2 with bin/ and cni/. Part of
# other scripts.
# Q_KUBERNETES: the release; Q_SOURCE, Q_FROM: where it is from: `repository` and its address,
# `archive` and its address, `directory` and the sha256 of the tar that is brought here, `preinstalled`
# and a directory that the machine's image brought along.

release=$kubernetes/$Q_KUBERNETES
carried=$kubernetes/carried.tar

# An address becomes a file; 44: there is nothing.
download() {
    if has curl; then
        code=$(curl -sSL --connect-timeout 15 -o "$2" -w '%{http_code}' "$1") ||
            fail 1 "$1 does not arrive"
        case $code in 2*) ;; 404) return 44 ;; *) fail 1 "$1: status $code" ;; esac
    elif wget -q -T 15 -O "$2" "$1"; then
        :
    else
        # GNU's: the server has answered with an error.
        [ $? = 8 ] && return 44
        fail 1 "$1 does not arrive"
    fi
}

from_archive() {
    download "$Q_FROM" "$release.tar" || fail 65 "there is no archive at $Q_FROM"
    if download "$Q_FROM.sha256" "$release.sha256"; then
        read -r sum _ <"$release.sha256"
        [ "$(sha256sum <"$release.tar" | cut -d ' ' -f 1)" = "$sum" ] ||
            fail 1 "the archive of $Q_FROM is not the one that $Q_FROM.sha256 means"
    else
        note "$Q_FROM is not checked: there is no .sha256 beside it"
    fi
    tar -xf "$release.tar" -C "$release.new"
    rm -f "$release.tar" "$release.sha256"
}

# Packages are taken apart and not installed: kubelet has to stay as it is until the API servers are
# as new, and neither an upgrade of the machine nor its next boot may change that.
from_repository() {
    from=$Q_FROM/v${Q_KUBERNETES%.*}
    work=$release.new/packages
    mkdir -p "$work/lists/partial" "$work/root"
    if has apt-get; then
        download "$from/deb/Release.key" "$work/key.asc" ||
            fail 65 "there are no packages of Kubernetes ${Q_KUBERNETES%.*} at $Q_FROM"
        echo "deb [signed-by=$work/key.asc] $from/deb/ /" >"$work/sources.list"
        # Nothing of it is left to the machine's own package tool.
        cat >"$work/apt.conf" <<END
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$work/lists";
Dir::Cache "$work";
Dir::Cache::Archives "$work";
APT::Sandbox::User "root";
END
        export APT_CONFIG="$work/apt.conf"
        packages apt-get -q update
        # Whichever build of exactly this release.
        (cd "$work" && packages apt-get -q download "kubeadm=$Q_KUBERNETES-*" \
            "kubelet=$Q_KUBERNETES-*" "kubectl=$Q_KUBERNETES-*" cri-tools kubernetes-cni)
        unset APT_CONFIG
        for file in "$work"/*.deb; do dpkg-deb --extract "$file" "$work/root"; done
    elif has dnf; then
        cat >"$work/kubernetes.repo" <<END
[quorate-kubernetes]
name=Kubernetes
baseurl=$from/rpm/
gpgcheck=1
repo_gpgcheck=1
gpgkey=$from/rpm/repodata/repomd.xml.key
END
        has cpio || install cpio
        dnf -q download --help >/dev/null 2>&1 || install dnf-plugins-core
        packages dnf -q -y "--setopt=reposdir=$work" "--setopt=cachedir=$work/lists" download \
            "--destdir=$work" "kubeadm-$Q_KUBERNETES" "kubelet-$Q_KUBERNETES" \
            "kubectl-$Q_KUBERNETES" cri-tools kubernetes-cni
        for file in "$work"/*.rpm; do
            (cd "$work/root" && rpm2cpio "$file" | cpio -idm --quiet)
        done
    else
        fail 65 "the Kubernetes project has no packages for this distribution: set" \
            "\`kubernetes.packages\` in the manifest"
    fi
    mkdir -p "$release.new/bin" "$release.new/cni"
    mv "$work"/root/usr/bin/* "$release.new/bin/"
    mv "$work"/root/opt/cni/bin/* "$release.new/cni/"
    rm -rf "$work"
}

from_directory() {
    if [ ! -e "$carried" ] || [ "$(sha256sum <"$carried" | cut -d ' ' -f 1)" != "$Q_FROM" ]; then
        rm -rf "$carried" "$release.new"
        echo "wants packages"
        exit 0
    fi
    tar -xf "$carried" -C "$release.new"
}

# A second name for each file where that is possible, else a copy: the image's own directory stays.
from_preinstalled() {
    [ -d "$Q_FROM/bin" ] || fail 65 "the machine's image has no $Q_FROM/bin: build it with" \
        "Kubernetes $Q_KUBERNETES in it, or set another source in \`kubernetes.packages\`"
    for part in bin cni images; do
        [ ! -d "$Q_FROM/$part" ] || cp -RLpl "$Q_FROM/$part" "$release.new/" 2>/dev/null ||
            cp -RLp "$Q_FROM/$part" "$release.new/"
    done
}

# Gets the release, unless it is here. It comes into its place as a whole.
release_get() {
    if [ -e "$release/from" ] && [ "$(cat "$release/from")" = "$Q_SOURCE $Q_FROM" ]; then
        rm -f "$carried"
        return 0
    fi
    rm -rf "$release.new"
    mkdir -p "$release.new"
    "from_$Q_SOURCE"
    for program in kubeadm kubelet kubectl; do
        [ -f "$release.new/bin/$program" ] ||
            fail 65 "the packages of Kubernetes have no bin/$program"
    done
    mkdir -p "$release.new/cni" "$release.new/images"
    chmod -R u+rwX,go=rX "$release.new"
    chmod 0755 "$opt" "$kubernetes" "$release.new"/bin/* "$release.new"
    found=$("$release.new/bin/kubeadm" version -o short) ||
        fail 65 "kubeadm does not run here: is it for this kind of processor?"
    [ "$found" = "v$Q_KUBERNETES" ] ||
        fail 65 "the packages are Kubernetes $found, and the manifest asks for v$Q_KUBERNETES"
    echo "$Q_SOURCE $Q_FROM" >"$release.new/from"
    rm -rf "$release.old"
    [ ! -e "$release" ] || mv "$release" "$release.old"
    mv "$release.new" "$release"
    rm -rf "$release.old" "$carried"
}
