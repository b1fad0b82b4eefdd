//! Walls for real, in network namespaces of our own; processes for real.

use super::*;
use std::process::Command as Sync;

/// A network namespace with a process in it, and a cable to the host; gone when dropped.
struct Room {
    name: String,
    inhabitant: std::process::Child,
}

fn sh(text: &str) -> bool {
    let status = Sync::new("sh")
        .args(["-c", text])
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

impl Room {
    fn new(name: &str, third: u8) -> Option<Self> {
        let name = format!("qdrill{name}");
        let made = sh(&format!(
            "ip netns add {name} && ip link add {name} type veth peer name eth0 netns {name} \
             && ip address add 10.209.{third}.1/24 dev {name} && ip link set {name} up \
             && ip -n {name} address add 10.209.{third}.2/24 dev eth0 \
             && ip -n {name} link set lo up && ip -n {name} link set eth0 up \
             && ip netns exec {name} nft list tables"
        ));
        if !made {
            sh(&format!("ip link del {name}; ip netns del {name}"));
            eprintln!("SKIPPED: network namespaces need root, iproute2 and nftables");
            return None;
        }
        // It answers on two ports, one of which no wall stops.
        let listen = "import socket,select\ns=[socket.create_server(('0.0.0.0',p)) for p in (22,80)]\n\
             while 1:\n for x in select.select(s,[],[])[0]:\n  c,_=x.accept();c.send(b'x');c.close()";
        let inhabitant = Sync::new("nsenter")
            .arg(format!("--net=/run/netns/{name}"))
            .args(["python3", "-c", listen])
            .spawn();
        let room = Self {
            name,
            inhabitant: inhabitant.ok()?,
        };
        for _ in 0..100 {
            if answers(third, 80) {
                return Some(room);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        eprintln!("SKIPPED: nobody listens in the namespace; it needs python3");
        None
    }

    fn has_table(&self) -> bool {
        let name = &self.name;
        sh(&format!(
            "ip netns exec {name} nft list tables | grep -q quorate_drill"
        ))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.inhabitant.kill().unwrap();
        self.inhabitant.wait().unwrap();
        let name = &self.name;
        sh(&format!("ip link del {name}; ip netns del {name}"));
    }
}

fn answers(third: u8, port: u16) -> bool {
    let address = std::net::SocketAddr::from(([10, 209, third, 2], port));
    std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300)).is_ok()
}

fn build(key: &str, stops: &Stops, seconds: u64) -> Job<'static> {
    job("build a wall", WALL)
        .with("Q_INSIDE", "1".to_owned())
        .with("Q_KEY", key.to_owned())
        .with("Q_SECONDS", seconds.to_string())
        .with("Q_RULES", rules(key, stops, &[22]))
}

#[tokio::test]
async fn a_wall_stops_what_it_should_lets_ssh_pass_and_is_taken_away() {
    let Some(room) = Room::new("w", 1) else {
        return;
    };
    let pid = room.inhabitant.id();
    let us = Stops::Both(vec![Ipv4Addr::new(10, 209, 1, 1)]);
    let from_us = Stops::From(vec![Ipv4Addr::new(10, 209, 1, 1)]);
    let others = Stops::Both(vec![Ipv4Addr::new(10, 209, 1, 77)]);
    let cases = [
        (Stops::Everything, false),
        (us, false),
        (from_us, false),
        (others, true),
    ];
    for (stops, passes) in cases {
        inside(pid, false, &build("t1", &stops, 60)).await.unwrap();
        assert!(room.has_table());
        assert_eq!(answers(1, 80), passes, "{stops:?}");
        assert!(answers(1, 22), "ssh passes: {stops:?}");
        let raze = job("raze", RAZE).with("Q_KEY", "t1".to_owned());
        let raze = raze.with("Q_INSIDE", "1".to_owned());
        inside(pid, false, &raze).await.unwrap();
        assert!(answers(1, 80) && !room.has_table());
        assert!(!std::path::Path::new("/run/quorate-drill-t1.pid").exists());
        inside(pid, false, &raze).await.expect("taken away twice");
    }
}

#[tokio::test]
async fn a_wall_falls_by_itself() {
    let Some(room) = Room::new("f", 2) else {
        return;
    };
    let pid = room.inhabitant.id();
    inside(pid, false, &build("t2", &Stops::Everything, 2))
        .await
        .unwrap();
    assert!(!answers(2, 80) && room.has_table());
    for _ in 0..100 {
        if !room.has_table() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!room.has_table() && answers(2, 80));
}

#[tokio::test]
async fn packets_are_late_or_it_is_said_why_not() {
    let Some(room) = Room::new("l", 3) else {
        return;
    };
    let pid = room.inhabitant.id();
    let late = job("late", LATE)
        .with("Q_INSIDE", "1".to_owned())
        .with("Q_KEY", "t3".to_owned())
        .with("Q_SECONDS", "60".to_owned())
        .with("Q_OWN", "10.209.3.2".to_owned())
        .with("Q_NETEM", "delay 200000us 0us".to_owned())
        .with("Q_TOWARDS", String::new())
        .with("Q_SSH", "22".to_owned());
    let mend = job("mend", MEND)
        .with("Q_INSIDE", "1".to_owned())
        .with("Q_KEY", "t3".to_owned())
        .with("Q_OWN", "10.209.3.2".to_owned());
    let prio = format!("ip netns exec {} tc qdisc show | grep -q 7a1:", room.name);
    match inside(pid, false, &late).await {
        Ok(()) => {
            let begun = Instant::now();
            assert!(answers(3, 80));
            assert!(begun.elapsed() >= Duration::from_millis(180));
            assert!(sh(&prio));
        }
        Err(Refused::Cannot(why)) => {
            eprintln!("SKIPPED: {why}; it needs a kernel with sch_prio and sch_netem");
            assert!(why.contains("this kernel has no"), "{why}");
        }
        Err(other) => panic!("{other}"),
    }
    inside(pid, false, &mend).await.unwrap();
    assert!(!sh(&prio), "nothing of it is left");
}

#[tokio::test]
async fn a_process_stands_still_and_a_stranger_with_its_number_is_left_alone() {
    let mut child = Sync::new("sleep").arg("60").spawn().unwrap();
    let process = process_of(child.id()).expect("it runs");
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap();
        stat.rsplit_once(')')
            .unwrap()
            .1
            .trim()
            .chars()
            .next()
            .unwrap()
    };
    signal(&process, "STOP").await.unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(state(), 'T');
    let stranger = Process {
        began: process.began + 1,
        ..process.clone()
    };
    assert!(signal(&stranger, "CONT").await.is_err());
    assert_eq!(state(), 'T');
    signal(&process, "CONT").await.unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(state(), 'S');
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(process_of(process.pid), None);
}

/// A container of our own that does nothing; gone when dropped.
struct Container(crate::act::Domain);

impl Container {
    fn new() -> Option<Self> {
        let name = format!("qdrill-{}", std::process::id());
        let uri = "lxc:///".to_owned();
        let able = sh("timeout 10 virsh --quiet --connect lxc:/// version >/dev/null");
        let label = |name: &str, value: &str| format!("<q:label name='{name}' value='{value}'/>");
        let xml = format!(
            "<domain type='lxc'><name>{name}</name><metadata>\
             <q:machine xmlns:q='https://quorate.dev/libvirt/1'>{}{}</q:machine></metadata>\
             <memory unit='MiB'>64</memory><os><type>exe</type><init>/bin/sleep</init>\
             <initarg>600</initarg></os><features><privnet/></features>\
             <devices><console type='pty'/></devices></domain>",
            label("quorate.dev/uid", "00000000000000ab"),
            label("quorate.dev/id", "q_w_1"),
        );
        let file = std::env::temp_dir().join(format!("{name}.xml"));
        std::fs::write(&file, xml).unwrap();
        let shown = file.display();
        let made = able
            && sh(&format!(
                "exec >/dev/null; virsh -c {uri} define {shown} && virsh -c {uri} start {name}"
            ));
        std::fs::remove_file(&file).unwrap();
        let container = Self(crate::act::Domain {
            uri,
            name,
            container: true,
        });
        if !made {
            eprintln!("SKIPPED: no container can be made; `ci/lab/libvirt start` brings libvirt");
            return None;
        }
        Some(container)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let (uri, name) = (&self.0.uri, &self.0.name);
        sh(&format!(
            "exec >/dev/null; virsh -c {uri} destroy {name}; virsh -c {uri} undefine {name}"
        ));
    }
}

fn lab() -> Lab {
    let hosts = Hosts::new(quorate_hosts::Settings {
        cluster: "q".to_owned(),
        uid: 0xab,
        machines: Arc::new(|_: &ResourceId, _: &[(ResourceId, Ipv4Addr)]| None),
        pins: Arc::new(quorate_hosts::Remembered::default()),
        agent_binary: None,
        packages: None,
        image_repository: None,
        parallel: 1,
        patience: quorate_hosts::Patience::default(),
    });
    Lab::new(Arc::new(hosts), 22)
}

#[tokio::test]
async fn a_machine_s_power_is_cut_it_is_paused_walled_in_and_all_is_undone() {
    let Some(container) = Container::new() else {
        return;
    };
    let (lab, domain) = (lab(), container.0.clone());
    assert!(owned(&domain, 0xab, "q/w/1").await.unwrap());
    assert!(!owned(&domain, 0xab, "q/w/2").await.unwrap());
    assert!(!owned(&domain, 0xac, "q/w/1").await.unwrap());

    let first = virsh::pid(&domain).await.unwrap();
    let cut = Act::PowerCut(domain.clone());
    let before = Instant::now();
    let died = lab.strike(&cut).await.unwrap();
    assert!(died > before && died.duration_since(before) < Duration::from_secs(5));
    assert!(!virsh::runs(&domain).await.unwrap());
    lab.heal(&cut.undo()).await.unwrap();
    let second = virsh::pid(&domain).await.unwrap();
    assert_ne!(first, second, "another life");
    lab.heal(&cut.undo()).await.expect("healed twice");
    assert_eq!(virsh::pid(&domain).await.unwrap(), second, "and left alone");

    let pause = Act::Pause(domain.clone());
    match lab.strike(&pause).await {
        Ok(_) => {
            lab.heal(&pause.undo()).await.unwrap();
            lab.heal(&pause.undo()).await.expect("healed twice");
        }
        Err(Refused::Cannot(why)) => {
            eprintln!("SKIPPED: containers do not stand still here: {why}")
        }
        Err(other) => panic!("{other}"),
    }

    let at = Place {
        machine: ResourceId::new("q/w/1"),
        container: Some(domain.clone()),
    };
    let wall = Act::Wall {
        at,
        key: "t9".to_owned(),
        stops: Stops::Everything,
        falls_after: quorate_engine::time::Span::from_secs(60),
    };
    let pid = virsh::pid(&domain).await.unwrap();
    let table = format!("nsenter -t {pid} -n nft list tables | grep -q quorate_drill_t9");
    lab.strike(&wall).await.unwrap();
    assert!(sh(&table));
    lab.heal(&wall.undo()).await.unwrap();
    assert!(!sh(&table));
    // What is off has no wall.
    lab.strike(&cut).await.unwrap();
    lab.heal(&wall.undo()).await.unwrap();
}

/// A process called `etcd` in a process namespace of its own; gone when dropped.
struct Alone {
    outer: std::process::Child,
    /// Its number outside.
    pid: u32,
    _dir: tempfile::TempDir,
}

impl Alone {
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("etcd");
        std::fs::copy("/bin/sleep", &name).ok()?;
        let mut outer = Sync::new("unshare")
            .args([
                "--fork",
                "--pid",
                "--mount-proc",
                "--kill-child",
                "sh",
                "-c",
            ])
            .arg(format!("{} 60 & wait; sleep 60", name.display()))
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let children = |pid: u32| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            let first = text.ok()?.split_whitespace().next()?.parse().ok()?;
            Some::<u32>(first)
        };
        for _ in 0..100 {
            let shell = children(outer.id());
            if let (Some(shell), true) = (shell, shell.and_then(children).is_some()) {
                return Some(Self {
                    outer,
                    pid: shell,
                    _dir: dir,
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        outer.kill().ok();
        outer.wait().ok();
        eprintln!("SKIPPED: process namespaces need root and unshare(1)");
        None
    }

    /// The state letter of its process; none if there is none.
    fn state(&self) -> Option<char> {
        let pid = self.pid;
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        let child: u32 = text.split_whitespace().next()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
        if !stat.contains("(etcd)") {
            return None;
        }
        stat.rsplit_once(')')?.1.trim_start().chars().next()
    }

    async fn becomes(&self, state: Option<char>) -> bool {
        for _ in 0..100 {
            if self.state() == state {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        eprintln!("it is {:?}", self.state());
        false
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.outer.kill().unwrap();
        self.outer.wait().unwrap();
    }
}

#[tokio::test]
async fn a_process_stands_still_goes_on_and_dies() {
    let Some(alone) = Alone::new() else {
        return;
    };
    let job = |script| {
        on_process("touch a process", script, Named::Etcd).with("Q_INSIDE", "1".to_owned())
    };
    let still = |key: &str, seconds: u64| {
        let job = job(STILL).with("Q_KEY", key.to_owned());
        job.with("Q_SECONDS", seconds.to_string())
    };
    inside(alone.pid, true, &still("p1", 60)).await.unwrap();
    assert!(alone.becomes(Some('T')).await);
    let go = job(GO).with("Q_KEY", "p1".to_owned());
    inside(alone.pid, true, &go).await.unwrap();
    assert!(alone.becomes(Some('S')).await);
    assert!(!std::path::Path::new("/run/quorate-drill-p1.pid").exists());
    inside(alone.pid, true, &still("p2", 1)).await.unwrap();
    assert!(alone.becomes(Some('T')).await);
    assert!(alone.becomes(Some('S')).await, "it goes on by itself");
    inside(alone.pid, true, &job(IS_BACK)).await.unwrap();
    inside(alone.pid, true, &job(KILL)).await.unwrap();
    assert!(alone.becomes(None).await);
    let again = inside(alone.pid, true, &job(IS_BACK)).await.unwrap_err();
    assert!(matches!(again, Refused::Failed(_)), "{again:?}");
    let nobody = inside(alone.pid, true, &job(KILL)).await.unwrap_err();
    assert!(matches!(nobody, Refused::Cannot(_)), "{nobody:?}");
}
