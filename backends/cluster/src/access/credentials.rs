//! What an administrator needs: read on a control plane, kept in memory only, shown to nobody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quorate_engine::seam::{Fault, FaultClass};
use quorate_hosts::{Job, Output};
use std::fmt;
use std::time::Duration;
use zeroize::{Zeroize as _, Zeroizing};

/// Prints the files, one a line. `admin.conf` is there on control planes only.
const READ: &str = r#"
ours
pki=/etc/kubernetes/pki
for file in /etc/kubernetes/admin.conf "$pki/etcd/ca.crt" "$pki/apiserver-etcd-client.crt" \
    "$pki/apiserver-etcd-client.key"; do
    [ -s "$file" ] || fail 75 "it is no control plane: $file is not there"
done
show() {
    printf '%s ' "$1"
    base64 "$2" | tr -d '\n'
    echo
}
show admin /etc/kubernetes/admin.conf
show etcd-ca "$pki/etcd/ca.crt"
show etcd-certificate "$pki/apiserver-etcd-client.crt"
show etcd-key "$pki/apiserver-etcd-client.key"
"#;

/// The administrator's credentials of one cluster.
pub(crate) struct Credentials {
    /// A kubeconfig, as kubeadm writes it.
    pub(crate) admin: Zeroizing<String>,
    /// PEM.
    pub(crate) etcd_ca: Vec<u8>,
    /// Certificate and key, PEM.
    pub(crate) etcd_identity: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// The job that reads them.
pub(super) fn reading(limit: Duration) -> Job<'static> {
    Job {
        title: "look for a control plane",
        parts: vec![READ],
        arguments: Vec::new(),
        input: None,
        limit,
        mutates: false,
    }
}

impl Credentials {
    /// From what the job said.
    pub(super) fn read(mut output: Output) -> Result<Self, Fault> {
        let read = Self::parse(&output.stdout);
        output.stdout.zeroize();
        read.map_err(|what| {
            let why = format!("the administrator's credentials are unreadable: {what}");
            Fault::new(FaultClass::Retryable, why)
        })
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let file = |name: &'static str| -> Result<Zeroizing<Vec<u8>>, &'static str> {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            let (_, coded) = lines.find(|(first, _)| *first == name).ok_or(name)?;
            let bytes = STANDARD.decode(coded).map_err(|_| name)?;
            Ok(Zeroizing::new(bytes))
        };
        let admin = file("admin")?;
        let admin = std::str::from_utf8(&admin).map_err(|_| "admin")?.to_owned();
        let mut identity = file("etcd-certificate")?;
        identity.push(b'\n');
        identity.extend_from_slice(&file("etcd-key")?);
        Ok(Self {
            admin: Zeroizing::new(admin),
            etcd_ca: file("etcd-ca")?.to_vec(),
            etcd_identity: identity,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(lines: &[(&str, &str)]) -> Output {
        let line = |(name, text): &(&str, &str)| format!("{name} {}\n", STANDARD.encode(text));
        Output {
            stdout: lines.iter().map(line).collect(),
            stderr: String::new(),
        }
    }

    const ALL: [(&str, &str); 4] = [
        ("admin", "kind: Config"),
        ("etcd-ca", "CA"),
        ("etcd-certificate", "CERT"),
        ("etcd-key", "KEY"),
    ];

    #[test]
    fn files_are_found_by_name_and_do_not_show() {
        let read = Credentials::read(output(&ALL)).unwrap();
        assert_eq!(read.admin.as_str(), "kind: Config");
        assert_eq!(read.etcd_ca, b"CA");
        assert_eq!(read.etcd_identity.as_slice(), b"CERT\nKEY");
        assert_eq!(format!("{read:?}"), "Credentials(..)");
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_else() {
        for at in 0..ALL.len() {
            let mut some = ALL.to_vec();
            let (name, _) = some.remove(at);
            let fault = Credentials::read(output(&some)).unwrap_err();
            assert_eq!(fault.class, FaultClass::Retryable);
            assert!(fault.detail.ends_with(name), "{fault}");
            assert!(!fault.detail.contains("KEY"), "{fault}");
        }
    }
}
