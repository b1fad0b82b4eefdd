use super::*;
use std::os::unix::fs::symlink;

fn image(folder: &Path) -> PathBuf {
    let image = folder.join("image");
    for name in ["etc/ssh", "usr/bin", "sbin", "home/me"] {
        fs::create_dir_all(image.join(name)).unwrap();
    }
    fs::write(image.join("usr/bin/tool"), "tool").unwrap();
    fs::write(image.join("sbin/init"), "init").unwrap();
    let passwd = "root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\n";
    fs::write(image.join("etc/passwd"), passwd).unwrap();
    fs::write(image.join("etc/ssh/ssh_host_rsa_key"), "old").unwrap();
    symlink("/run/resolv.conf", image.join("etc/resolv.conf")).unwrap();
    symlink("usr/bin", image.join("bin")).unwrap();
    image
}

fn delivery(user: &str) -> Delivery {
    Delivery {
        hostname: "shop-w-1".to_owned(),
        user: user.to_owned(),
        keys: vec!["ssh-ed25519 A a".to_owned(), "ssh-ed25519 B b".to_owned()],
        host_key: HostKey::fresh(),
        nameserver: "10.0.0.1".parse().unwrap(),
    }
}

#[tokio::test]
async fn a_clone_shares_usr_and_owns_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(folder.path());
    let root = folder.path().join("roots/shop-1/shop_w_1");
    // chown to somebody else is root's.
    let user = if fs::metadata("/proc/self").unwrap().uid() == 0 {
        "me"
    } else {
        "root"
    };
    let user = if user == "root" {
        return eprintln!("SKIPPED a clone: run it as root");
    } else {
        user
    };
    let given = delivery(user);
    make(&root, &image, &given).await.unwrap();
    let meta = |path: &str| fs::symlink_metadata(root.join(path)).unwrap();
    let inode = |base: &Path, path: &str| fs::metadata(base.join(path)).unwrap().ino();
    assert_eq!(inode(&root, "usr/bin/tool"), inode(&image, "usr/bin/tool"));
    assert_ne!(inode(&root, "sbin/init"), inode(&image, "sbin/init"));
    assert!(meta("bin").is_symlink());
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    assert_eq!(read("etc/hostname"), "shop-w-1\n");
    assert_eq!(read("etc/resolv.conf"), "nameserver 10.0.0.1\n");
    let key = &given.host_key;
    assert_eq!(read("etc/ssh/ssh_host_ed25519_key"), key.private.reveal());
    assert_eq!(meta("etc/ssh/ssh_host_ed25519_key").mode() & 0o777, 0o600);
    let public = format!("{}\n", key.public);
    assert_eq!(read("etc/ssh/ssh_host_ed25519_key.pub"), public);
    assert!(!root.join("etc/ssh/ssh_host_rsa_key").exists());
    let keys = meta("home/me/.ssh/authorized_keys");
    assert_eq!(
        (keys.uid(), keys.gid(), keys.mode() & 0o777),
        (1000, 1000, 0o600)
    );
    assert_eq!(
        read("home/me/.ssh/authorized_keys"),
        "ssh-ed25519 A a\nssh-ed25519 B b\n"
    );
    // The image is as it was.
    assert!(image.join("etc/resolv.conf").is_symlink());
    assert_eq!(
        fs::read_to_string(image.join("etc/ssh/ssh_host_rsa_key")).unwrap(),
        "old"
    );
    make(&root, &image, &delivery(user)).await.unwrap();
    assert_eq!(slots(root.parent().unwrap()).unwrap().len(), 1);
    remove(&root).await.unwrap();
    assert!(!root.parent().unwrap().exists(), "an empty shelf goes too");
    remove(&root).await.unwrap();
}

#[tokio::test]
async fn nothing_is_written_through_links_of_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(folder.path());
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::remove_dir_all(image.join("etc/ssh")).unwrap();
    symlink(&outside, image.join("etc/ssh")).unwrap();
    let root = folder.path().join("roots/shop-1/shop_w_1");
    let fault = make(&root, &image, &delivery("root")).await.unwrap_err();
    assert!(fault.detail.contains("is a link"), "{}", fault.detail);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(!root.exists(), "a clone is there when it is whole");
    let left = slots(root.parent().unwrap()).unwrap();
    assert_eq!(
        left[0].0.as_str(),
        "shop/w/1",
        "and what is left of it is seen"
    );
    remove(&root).await.unwrap();
    assert!(!root.parent().unwrap().exists());
}

#[test]
fn an_image_that_lacks_something_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let good = image(folder.path());
    assert_eq!(lacks(&good, "root"), None);
    let said = |user: &str| lacks(&good, user).unwrap();
    assert!(said("nobody").contains("has no user nobody"));
    assert_eq!(init(&good).as_deref(), Some("/sbin/init"));
    fs::write(good.join("init-wrap"), "").unwrap();
    assert_eq!(init(&good).as_deref(), Some("/init-wrap"));
    fs::remove_file(good.join("init-wrap")).unwrap();
    fs::remove_file(good.join("sbin/init")).unwrap();
    assert!(said("root").contains("neither /sbin/init nor /init-wrap"));
    assert!(
        lacks(&folder.path().join("none"), "root")
            .unwrap()
            .contains("not a folder")
    );
}
