use super::*;
use crate::Owner;
use crate::labels::Labels;
use quorate_engine::seam::Key;

fn blueprint(driver: Driver, body: Body) -> Blueprint {
    let labels = Labels {
        owner: Owner {
            cluster: "shop".to_owned(),
            uid: 7,
        },
        id: ResourceId::new("shop/w/1"),
        kind: Kind::Machine,
        fingerprint: 1,
        key: Key(2),
    };
    Blueprint {
        driver,
        record: Record::new(labels)
            .note(note::ADDRESS, "10.1.2.3")
            .note(note::REGION, "r1")
            .note(note::MACHINE_TYPE, "2x4096MiB")
            .note(note::IMAGE, "/img")
            .note(note::HOST_KEY, "ssh-ed25519 AAAA"),
        size: Size::parse("2x4GiB").unwrap(),
        network: "shop-network-a-r1".to_owned(),
        cidr: "10.1.2.0/24".parse().unwrap(),
        address: "10.1.2.3".parse().unwrap(),
        filter: Some("shop-firewall-a-r1".to_owned()),
        body,
    }
}

fn parsed(driver: Driver, body: Body) -> Element {
    Element::parse(&blueprint(driver, body).write()).unwrap()
}

#[test]
fn a_machine_type_is_a_size() {
    let cases = [
        ("2x4GiB", Some((2, 4 << 20))),
        ("2x4Gi", Some((2, 4 << 20))),
        ("1x512MiB", Some((1, 512 << 10))),
        ("16x1.5GiB", Some((16, 3 << 19))),
        ("0x4GiB", None),
        ("2x4", None),
        ("2x", None),
        ("x4GiB", None),
        ("cx22", None),
        ("2 x 4GiB", None),
        ("-1x4GiB", None),
    ];
    for (text, meant) in cases {
        let size = Size::parse(text).map(|size| (size.vcpus, size.memory_kib));
        assert_eq!(size, meant, "{text}");
    }
}

#[test]
fn a_container_has_its_root_its_address_and_a_tun_device() {
    let domain = parsed(
        Driver::Lxc,
        Body::Root {
            folder: "/roots/x".to_owned(),
            init: "/sbin/init".to_owned(),
        },
    );
    assert_eq!(domain.get("type"), Some("lxc"));
    let at = |path: &str, name: &str| domain.at(path).and_then(|found| found.get(name));
    assert_eq!(domain.at("os/init").unwrap().text, "/sbin/init");
    assert!(domain.at("features/privnet").is_some());
    assert_eq!(at("features/capabilities", "policy"), Some("allow"));
    assert_eq!(at("devices/filesystem/source", "dir"), Some("/roots/x"));
    let device = domain.at("devices/hostdev/source/char").unwrap();
    assert_eq!(device.text, "/dev/net/tun");
    assert_eq!(
        at("devices/interface/mac", "address"),
        Some("52:54:00:01:02:03")
    );
    assert_eq!(at("devices/interface/ip", "address"), Some("10.1.2.3"));
    assert_eq!(at("devices/interface/route", "gateway"), Some("10.1.2.1"));
    let filter = at("devices/interface/filterref", "filter");
    assert_eq!(filter, Some("shop-firewall-a-r1"));
    let port = at("devices/interface/target", "dev").unwrap();
    assert!(port.len() <= 15, "{port}");
    assert!(filtered_by(&domain, "shop-firewall-a-r1") && !filtered_by(&domain, "x"));
    assert_eq!(networks(&domain).collect::<Vec<_>>(), ["shop-network-a-r1"]);
}

#[test]
fn a_virtual_machine_has_a_disk_and_a_seed_it_cannot_write() {
    for (accelerator, cpu) in [("kvm", "host-passthrough"), ("qemu", "maximum")] {
        let domain = parsed(
            Driver::Qemu,
            Body::Volumes {
                pool: "fast".to_owned(),
                disk: "d".to_owned(),
                seed: "s".to_owned(),
                accelerator: accelerator.to_owned(),
                arch: "x86_64".to_owned(),
            },
        );
        assert_eq!(domain.get("type"), Some(accelerator));
        assert_eq!(domain.at("cpu").unwrap().get("mode"), Some(cpu));
        let devices = domain.at("devices").unwrap();
        let disks: Vec<_> = devices.all("disk").collect();
        let volumes = disks
            .iter()
            .map(|disk| disk.at("source").unwrap().get("volume"));
        assert_eq!(volumes.collect::<Vec<_>>(), [Some("d"), Some("s")]);
        assert!(disks[0].at("readonly").is_none() && disks[1].at("readonly").is_some());
        // Its address is the seed's business: QEMU cannot give one.
        assert!(domain.at("devices/interface/ip").is_none());
    }
}

#[test]
fn what_is_shown_is_what_is_there() {
    let domain = parsed(Driver::Test, Body::Mock);
    let record = Record::of(&domain).unwrap();
    let shown = seen(&domain, &record, MachineState::Running);
    assert_eq!(
        shown.fields["machine_type"], "2x4096MiB",
        "as it was written"
    );
    assert_eq!(shown.fields["image"], "/img");
    assert_eq!(shown.fields["region"], "r1");
    assert_eq!(shown.address, Some("10.1.2.3".parse().unwrap()));
    assert_eq!(shown.private, shown.address);
    assert_eq!(shown.host_key.as_deref(), Some("ssh-ed25519 AAAA"));
    assert_eq!(shown.external.len(), 36);
    assert_eq!(addresses(&domain).first(), shown.address.as_ref());
    let changed = domain.write().replace("<vcpu>2<", "<vcpu>3<");
    let changed = Element::parse(&changed).unwrap();
    let shown = seen(&changed, &record, MachineState::Running);
    assert_eq!(shown.fields["machine_type"], "3x4GiB");
}

/// As libvirt 9.0 prints a domain that `virsh` defined.
#[test]
fn a_domain_of_somebody_else_s_is_read() {
    let domain = Element::parse(
        "<domain type='kvm' id='3'>\n  <name>web</name>\n  <memory unit='KiB'>131072</memory>\n  \
         <vcpu placement='static'>1</vcpu>\n  <devices>\n    <interface type='network'>\n      \
         <mac address='52:54:00:db:00:0b'/>\n      <source network='default' bridge='virbr0'/>\n\
         \n      <ip address='192.168.122.9' family='ipv4' prefix='24'/>\n    </interface>\n    \
         <interface type='bridge'><source bridge='br0'/></interface>\n  </devices>\n</domain>\n",
    )
    .unwrap();
    assert_eq!(Record::of(&domain), None);
    assert_eq!(networks(&domain).collect::<Vec<_>>(), ["default"]);
    assert_eq!(
        addresses(&domain),
        ["192.168.122.9".parse::<Ipv4Addr>().unwrap()]
    );
    assert_eq!(size(&domain).unwrap().text(), "1x128MiB");
}
