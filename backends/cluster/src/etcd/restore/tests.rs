use super::*;
use crate::Snapshots;
use crate::etcd::survey;
use crate::fake::{Etcd, Lab, access, call, credentials, plane};
use quorate_engine::seam::Verb;
use std::fs;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;

fn text(source: &Source) -> Vec<String> {
    let planes: Vec<_> = (1..=3).map(plane).collect();
    let steps = restore_plan(source, &plane(2), &planes);
    steps.iter().map(ToString::to_string).collect()
}

#[test]
fn all_are_halted_before_one_begins_anew() {
    let expected = [
        "bring s.db to shop/cp/2, and check it",
        "make a cluster of one member of it on shop/cp/2, unused",
        "halt etcd and the API server on shop/cp/1",
        "halt etcd and the API server on shop/cp/3",
        "halt etcd and the API server on shop/cp/2",
        "move the former data aside on shop/cp/1: it joins anew",
        "move the former data aside on shop/cp/3: it joins anew",
        "put its data in place on shop/cp/2, keep the former",
        "start etcd and the API server on shop/cp/2",
    ];
    assert_eq!(text(&Source::Snapshot("s.db".into())), expected);
    let disk = text(&Source::Disk);
    assert_eq!(disk[2], expected[4]);
    assert_eq!(disk[3], "copy what shop/cp/2's member has on its disk");
    assert_eq!(disk[4], expected[1]);
    assert_eq!(disk[5..], expected[5..]);
}

const POD: &str = "spec:\n  containers:\n  - command:\n    - etcd\n    \
    - --initial-cluster=a=https://192.0.2.1:2380,b=https://192.0.2.2:2380\n    \
    - --initial-cluster-state=existing\n    image: registry.k8s.io/etcd:3.5.15-0\n";

/// Folders of one machine, where kubeadm has them on a real one.
struct Machine {
    kube: String,
    data: String,
    keep: String,
    peer: String,
}

impl Machine {
    fn new(folder: &Path, etcd: &Etcd, number: u32) -> Self {
        let here = |name: &str| folder.join(format!("{name}{number}")).display().to_string();
        let machine = Self {
            kube: here("kube"),
            data: etcd.data(number),
            keep: here("keep"),
            peer: format!("https://{}:2380", etcd.address(number)),
        };
        fs::create_dir_all(format!("{}/manifests", machine.kube)).unwrap();
        fs::write(machine.pod("etcd"), POD).unwrap();
        fs::write(machine.pod("kube-apiserver"), "api\n").unwrap();
        machine
    }

    fn pod(&self, name: &str) -> String {
        format!("{}/manifests/{name}.yaml", self.kube)
    }

    fn places(&self) -> Places<'_> {
        Places {
            kube: &self.kube,
            data: &self.data,
            keep: &self.keep,
        }
    }

    fn shell(&self, job: Job<'_>) -> Command {
        let job = job.with("Q_OWNER", "shop 0000000000000007 x".to_owned());
        let mut shell = Command::new("sh");
        shell.args(["-c", &job.text()]).stdin(Stdio::null());
        shell.stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(file) = job.input {
            shell.stdin(fs::File::open(file).unwrap());
        }
        shell
    }

    /// Does a step on this machine, to its end.
    fn act(&self, step: &RestoreStep) -> Result<(), String> {
        let job = job(step, &self.places(), "ab", &self.peer);
        let output = self.shell(job).output().unwrap();
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{:?} {said}", output.status.code()))
    }

    /// Begins a step, and kills everything that it has started after a while.
    fn cut_off(&self, step: &RestoreStep, after: Duration) {
        let job = job(step, &self.places(), "ab", &self.peer);
        let mut child = self.shell(job).process_group(0).spawn().unwrap();
        std::thread::sleep(after);
        let group = format!("-{}", child.id());
        let killed = Command::new("kill").args(["-KILL", "--", &group]).output();
        killed.expect("there is kill");
        child.wait().unwrap();
    }

    /// What is left of the member here.
    fn survey(&self) -> crate::Survivor {
        let output = self.shell(survey::job(&self.places())).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        survey::read(&String::from_utf8_lossy(&output.stdout))
    }
}

/// Three control planes of which two are lost, with a snapshot and something written after it.
struct Lost {
    etcd: Etcd,
    machines: Vec<Machine>,
    access: Access<crate::fake::Shared>,
    snapshot: PathBuf,
    /// The last revision that was written.
    revision: u64,
    _folder: TempDir,
}

impl Lost {
    async fn new() -> Option<Self> {
        if !Etcd::there() {
            return None;
        }
        let mut etcd = Etcd::found(3);
        let mut lab = Lab::default();
        let member = SocketAddr::from((etcd.address(1), 2379));
        let here = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 2379);
        lab.routes.insert((plane(1), here), member);
        lab.credentials.insert(plane(1), credentials(&etcd.pki));
        let access = access(&Arc::new(lab));
        let folder = tempfile::Builder::new()
            .prefix("quorate-restore-")
            .tempdir()
            .unwrap();
        etcd.ctl(1, &["put", "kept", "1"]).unwrap();
        let to = Snapshots::new(folder.path().join("snapshots"), 3);
        let addresses = call(Verb::Cluster, &plane(1), &[plane(1)]).addresses;
        let taken = access.snapshot(&addresses, &to).await.unwrap();
        assert!(taken.revision > 1 && taken.bytes > 10_000, "{taken:?}");
        etcd.ctl(1, &["put", "late", "1"]).unwrap();
        // etcd writes its database every 100 ms.
        std::thread::sleep(Duration::from_millis(300));
        let revision = access.status_at(&plane(1), &addresses).await.unwrap();
        etcd.kill(2);
        etcd.kill(3);
        let machines = (1..=3).map(|n| Machine::new(folder.path(), &etcd, n));
        Some(Self {
            machines: machines.collect(),
            snapshot: taken.path,
            revision: revision.header.revision,
            etcd,
            access,
            _folder: folder,
        })
    }

    fn machine(&self, of: &ResourceId) -> &Machine {
        let number = of.as_str().rsplit('/').next().unwrap();
        &self.machines[number.parse::<usize>().unwrap() - 1]
    }

    fn steps(&self, source: &Source) -> Vec<RestoreStep> {
        let planes: Vec<_> = (1..=3).map(plane).collect();
        restore_plan(source, &plane(1), &planes)
    }

    /// The only member serves, and has what is expected.
    fn begins_anew(&mut self, late: &str) {
        let machine = &self.machines[0];
        let pod = fs::read_to_string(machine.pod("etcd")).unwrap();
        let alone = format!("--initial-cluster=shop-cp-1={}\n", machine.peer);
        assert!(pod.contains(&alone), "{pod}");
        assert!(pod.contains("--initial-cluster-state=new\n"), "{pod}");
        assert_eq!(
            fs::read_to_string(machine.pod("kube-apiserver")).unwrap(),
            "api\n"
        );
        self.etcd.start(1, "new", &[1]);
        self.etcd.await_leader(1);
        let value = |key| self.etcd.ctl(1, &["get", key, "--print-value-only"]);
        assert_eq!(value("kept").unwrap(), "1\n");
        assert_eq!(value("late").unwrap(), late);
        let members = self.etcd.ctl(1, &["member", "list"]).unwrap();
        assert_eq!(members.lines().count(), 1, "{members}");
    }

    /// A control plane whose data were moved aside joins as a new member.
    fn joins_anew(&mut self, number: u32, with: &[u32]) {
        let url = format!("--peer-urls={}", self.machines[number as usize - 1].peer);
        let name = format!("shop-cp-{number}");
        let limit = Instant::now() + Duration::from_secs(30);
        while let Err(why) = self.etcd.ctl(1, &["member", "add", &name, &url]) {
            assert!(Instant::now() < limit, "{why}");
            std::thread::sleep(Duration::from_millis(300));
        }
        self.etcd.start(number, "existing", with);
        self.etcd.await_leader(number);
        let got = self
            .etcd
            .ctl(number, &["get", "kept", "--print-value-only"]);
        assert_eq!(got.unwrap(), "1\n");
    }
}

#[tokio::test]
async fn a_lost_quorum_is_seen_and_what_survives_is_counted() {
    let Some(mut lost) = Lost::new().await else {
        return;
    };
    assert!(lost.machines[0].survey().runs);
    let addresses = call(Verb::Cluster, &plane(1), &[plane(1)]).addresses;
    let limit = Instant::now() + Duration::from_secs(20);
    let status = loop {
        let status = lost.access.status_at(&plane(1), &addresses).await.unwrap();
        if status.leader == 0 {
            break status;
        }
        assert!(Instant::now() < limit, "it still follows somebody");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(status.header.revision, lost.revision);
    lost.etcd.kill(1);
    let found = lost.machines[0].survey();
    assert_eq!((found.runs, found.revision), (false, Some(lost.revision)));
    fs::rename(
        &lost.machines[1].data,
        format!("{}x", lost.machines[1].data),
    )
    .unwrap();
    assert_eq!(lost.machines[1].survey(), crate::Survivor::default());
}

#[tokio::test]
async fn a_snapshot_becomes_a_cluster_of_one_wherever_it_is_cut_off() {
    let Some(mut lost) = Lost::new().await else {
        return;
    };
    let steps = lost.steps(&Source::Snapshot(lost.snapshot.clone()));
    let early = lost.machines[0].act(&steps[1]).unwrap_err();
    assert!(early.contains("the snapshot is not here yet"), "{early}");
    for (index, step) in steps.iter().enumerate() {
        let last_halt = step.machine == plane(1) && step.what == Restore::Halt;
        if last_halt {
            let restore = &steps[steps.len() - 2];
            let running = lost.machines[0].act(restore).unwrap_err();
            assert!(running.starts_with("Some(75)"), "{running}");
            // As the kubelet does it.
            lost.etcd.kill(1);
        }
        let machine = lost.machine(&step.machine);
        for ms in [2, 6, 12, 25, 50] {
            machine.cut_off(step, Duration::from_millis(ms + index as u64));
        }
        for _ in 0..2 {
            machine
                .act(step)
                .unwrap_or_else(|why| panic!("{step}: {why}"));
        }
    }
    lost.begins_anew("");
    for machine in &lost.machines {
        let kept = format!("{}/ab/member-before/snap/db", machine.keep);
        assert!(
            Path::new(&kept).exists(),
            "{kept}: what was there before is kept"
        );
    }
    lost.joins_anew(2, &[1, 2]);
    lost.joins_anew(3, &[1, 2, 3]);
    // Somebody who has forgotten that it is done takes nothing away.
    for step in &steps {
        lost.machine(&step.machine).act(step).unwrap();
    }
    lost.etcd.ctl(3, &["put", "after", "1"]).unwrap();
}

#[tokio::test]
async fn what_a_survivor_has_on_its_disk_is_enough() {
    let Some(mut lost) = Lost::new().await else {
        return;
    };
    lost.etcd.kill(1);
    for step in lost.steps(&Source::Disk) {
        let machine = lost.machine(&step.machine);
        machine.cut_off(&step, Duration::from_millis(15));
        machine
            .act(&step)
            .unwrap_or_else(|why| panic!("{step}: {why}"));
    }
    lost.begins_anew("1\n");
}

#[test]
fn a_damaged_snapshot_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.db");
    fs::write(&file, [7; 600]).unwrap();
    let keep = folder.path().join("keep").display().to_string();
    let machine = Machine {
        kube: keep.clone(),
        data: keep.clone(),
        keep,
        peer: "https://192.0.2.1:2380".to_owned(),
    };
    let steps = restore_plan(&Source::Snapshot(file), &plane(1), &[plane(1)]);
    let said = machine.act(&steps[0]).unwrap_err();
    assert!(
        said.starts_with("Some(65)") && said.contains("damaged"),
        "{said}"
    );
}
